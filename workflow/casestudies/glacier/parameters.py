"""The parameters of the simulated glaciers and their climate: value, unit, basis, source.

Many were set or moved until gross statistics (means, spreads, shares of variance, correlations)
came near those of the published ALPGM set; the two sets are therefore not independent. No value was
chosen by the score of a statistical model. "gross" and "adjusted" refer to those statistics.
"""

from casestudies.parameters import Parameter, values

# fmt: off
PARAMETERS: dict[str, Parameter] = {
    # Temperature of the free slopes
    "reference_altitude": Parameter(3000.0, "m", "convention", ""),
    "temperature_mean": Parameter(-2.0, "degC", "gross", "mean of the monthly temperatures"),
    "temperature_amplitude": Parameter(6.8, "K", "gross", "mean seasonal cycle"),
    "warmest_day": Parameter(211.0, "day of year", "gross", "mean seasonal cycle"),
    "warming_start": Parameter(1982.0, "year", "adjusted", "was 1985"),
    "warming_rate": Parameter(
        0.4, "K per decade", "assumption", "data sets disagree: Beaumet et al. 2021"),
    "warming_summer_excess": Parameter(
        0.25, "1", "assumption", "high slopes warm most in summer: Beaumet et al. 2021"),
    "lapse_rate_mean": Parameter(5.7, "K km-1", "literature", "5.4 to 5.8: Rolland 2003"),
    "lapse_rate_amplitude": Parameter(
        0.8, "K km-1", "assumption", "steeper in summer: Rolland 2003"),
    "temperature_monthly_sd": Parameter(0.7, "K", "adjusted", "was 0.9"),
    "weather_temperature_sd": Parameter(3.5, "K", "gross", "degree days against monthly means"),
    "weather_temperature_sd_amplitude": Parameter(
        0.8, "K", "adjusted", "was 0.5; larger in winter"),
    "weather_temperature_persistence": Parameter(
        0.68, "1", "adjusted", "was 0.75; Wilks and Wilby 1999"),
    "temperature_shared": Parameter(0.94, "1", "adjusted", "was 0.9; correlation between glaciers"),
    # Precipitation
    "precipitation_annual": Parameter(1650.0, "mm a-1", "gross", "seasonal snow"),
    "precipitation_winter_excess": Parameter(0.15, "1", "adjusted", "was 0.1; seasonal snow"),
    "precipitation_gradient": Parameter(
        0.015, "per 100 m", "literature", "0.01 to 0.025: Huss and Hock 2015, after PyGEM"),
    "precipitation_massif_sd": Parameter(
        0.12, "1", "gross", "spread of mean snow between glaciers"),
    "precipitation_monthly_sd": Parameter(0.28, "1", "adjusted", "was 0.35"),
    "precipitation_shared": Parameter(0.7, "1", "gross", "correlation between glaciers"),
    "wet_days": Parameter(0.45, "1", "assumption", "Wilks and Wilby 1999"),
    "wet_persistence": Parameter(0.5, "1", "assumption", "Wilks and Wilby 1999"),
    "precipitation_power": Parameter(
        1.7, "1", "assumption", "power of a truncated normal: Bardossy and Plate 1992"),
    "cold_rain": Parameter(0.3, "1", "assumption", "wet summer days are cold"),
    "correlation_length": Parameter(60.0, "km", "assumption", ""),
    # Surface balance
    "snow_threshold": Parameter(
        1.5, "degC", "literature", "0 to 2: Huss and Hock 2015, after PyGEM"),
    "snow_transition": Parameter(
        1.0, "K", "literature", "rain to snow over 2 K: Huss and Hock 2015, after PyGEM"),
    "melt_threshold": Parameter(0.0, "degC", "unchecked", "Hock 2003"),
    "degree_day_fresh_snow": Parameter(
        2.8, "mm K-1 d-1", "unchecked", "low end for snow: Hock 2003"),
    "degree_day_old_snow": Parameter(
        4.6, "mm K-1 d-1", "unchecked", "Hock 2003; Vincent and Vallon 1997: 3.8"),
    "degree_day_firn": Parameter(
        5.3, "mm K-1 d-1", "unchecked", "between snow and ice: Huss and Hock 2015"),
    "degree_day_ice": Parameter(
        7.0, "mm K-1 d-1", "adjusted", "was 6.4; Hock 2003; Vincent and Vallon 1997: 6.2"),
    "snow_ageing": Parameter(21.9, "d", "unchecked", "decay of albedo: Oerlemans and Knap 1998"),
    "fresh_snow": Parameter(3.0, "mm d-1", "assumption", "a fall that renews the albedo"),
    "exposure_memory": Parameter(
        0.5, "1", "assumption", "darkness that ice keeps from year to year"),
    "radiation_share": Parameter(0.4, "1", "assumption", "melt that follows radiation: Hock 1999"),
    "dust_sd": Parameter(
        0.08, "1", "adjusted", "was 0.06; impurities melt 15-19 %: Gabbi et al. 2015"),
    "local_melt_sd": Parameter(0.1, "1", "adjusted", "was 0.08"),
    "local_accumulation_sd": Parameter(
        0.12, "1", "assumption", "not from topography: Reveillet et al. 2017"),
    "balance_before_warming": Parameter(
        -0.2, "m w.e. a-1", "unchecked", "near-steady 1954-1981: Vincent 2002"),
    "balance_before_warming_sd": Parameter(0.15, "m w.e. a-1", "gross", "spread of mean balances"),
    # Geometry
    "band_height": Parameter(50.0, "m", "convention", ""),
    "altitude_mean": Parameter(3040.0, "m", "adjusted", "was 3080"),
    "altitude_sd": Parameter(140.0, "m", "adjusted", "was 120"),
    "altitude_range": Parameter(850.0, "m for 2 km2", "gross", ""),
    "altitude_range_exponent": Parameter(0.25, "1", "assumption", "growth with area"),
    "altitude_range_log_sd": Parameter(0.15, "1", "assumption", ""),
    "hypsometry_least": Parameter(
        1.6, "1", "assumption", "least shape of the beta-like hypsometry"),
    "hypsometry_most": Parameter(2.8, "1", "assumption", "largest shape"),
    "area_median": Parameter(2.8, "km2", "adjusted", "was 2.3"),
    "area_log_sd": Parameter(0.85, "1", "adjusted", "was 0.75"),
    "length_factor": Parameter(1500.0, "m for 1 km2", "gross", "lengths of the inventory"),
    "length_exponent": Parameter(0.62, "1", "gross", "lengths of the inventory"),
    "slope20_log_mean": Parameter(-0.1, "1", "gross", "against the slope of the glacier"),
    "slope20_log_sd": Parameter(0.4, "1", "adjusted", "was 0.3"),
    "volume_factor": Parameter(0.0285, "km3 for 1 km2", "unchecked", "Alps: Chen and Ohmura 1990"),
    "volume_exponent": Parameter(1.357, "1", "unchecked", "Alps: Chen and Ohmura 1990"),
    "area_response": Parameter(20.0, "a", "adjusted", "was 40; areas of the inventories"),
    "area_least": Parameter(0.2, "1", "convention", "share of the first area that always stays"),
    "retreat_exponent": Parameter(
        4.0, "1", "assumption", "loss near the tongue, in the manner of Huss et al. 2010"),
    "ice_density": Parameter(0.9, "1", "convention", "relative to water"),
    # Reanalysis, as the models see it
    "reanalysis_lapse_rate": Parameter(
        6.0, "K km-1", "literature", "the code of the published set"),
    "reanalysis_snow_threshold": Parameter(
        2.0, "degC", "literature", "the code of the published set"),
    "reanalysis_temperature_bias_sd": Parameter(
        0.4, "K", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_temperature_drift_sd": Parameter(
        0.25, "K", "assumption", "stations change with time: Vidal et al. 2010"),
    "reanalysis_temperature_drift_persistence": Parameter(
        0.9, "1", "assumption", "from year to year"),
    "reanalysis_temperature_monthly_sd": Parameter(
        0.5, "K", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_temperature_daily_sd": Parameter(
        1.0, "K", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_precipitation_bias_sd": Parameter(
        0.1, "1", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_precipitation_monthly_sd": Parameter(
        0.15, "1", "assumption", "compare Vernay et al. 2022"),
}
# fmt: on
VALUES = values(PARAMETERS)

REFERENCES = (
    "Bardossy and Plate 1992, Water Resour. Res. 28",
    "Beaumet et al. 2021, Reg. Environ. Change 21",
    "Bolibar et al. 2020, Cryosphere 14",
    "Chen and Ohmura 1990, IAHS Publ. 193",
    "Gabbi et al. 2015, Cryosphere 9",
    "Hock 1999, J. Glaciol. 45",
    "Hock 2003, J. Hydrol. 282",
    "Huss and Hock 2015, Front. Earth Sci. 3",
    "Huss et al. 2010, Hydrol. Earth Syst. Sci. 14",
    "Oerlemans and Knap 1998, J. Glaciol. 44",
    "Rabatel et al. 2016, J. Glaciol. 62",
    "Reveillet et al. 2017, J. Glaciol. 63",
    "Rolland 2003, J. Climate 16",
    "Vernay et al. 2022, Earth Syst. Sci. Data 14",
    "Vidal et al. 2010, Int. J. Climatol. 30",
    "Vincent 2002, J. Geophys. Res. 107",
    "Vincent and Vallon 1997, J. Glaciol. 43",
    "Wilks and Wilby 1999, Prog. Phys. Geogr. 23",
)
