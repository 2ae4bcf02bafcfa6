"""The table of data sets: where each file comes from and what it must be; verified download.

A new data set is one more entry in ``DATASETS``. Every file is named by an immutable address (one
that contains a commit or a version), its size and its SHA-256, so that a file is either exactly the
published one or is refused.

``python -m casestudies.datasets --dataset NAME --file PATH --output data/raw/NAME/PATH`` fetches
one file, the unit of a Snakemake job: a failure repeats one download, and a rule that needs one
file waits for no other. Without ``--file`` the whole data set goes into the folder ``--output``.

A mirror (``--mirror``, or the environment variable ``CASESTUDIES_MIRROR``) replaces the publisher:
a folder, or a ``file:``, ``http:`` or ``https:`` address, below which the file is
``<data set>/<path>``. What it serves is verified all the same.

The download grows in a hidden ``.part`` file beside the output, and the output's own name appears
only once size and checksum are right. A download that is killed keeps the ``.part`` file, and the
next run resumes from it where the server allows; any failure that is reported removes it.
"""
# ruff: noqa: E501
# Each file of the table has a line of its own, which its checksum makes long.

import hashlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from casestudies.errors import InputError, nearest
from casestudies.files import discard, named
from casestudies.steps import main

log = logging.getLogger("casestudies")

MIRROR = "CASESTUDIES_MIRROR"
ATTEMPTS = 4
BACKOFF = 1.0  # seconds before the second attempt; doubled before each further one
CHUNK = 1 << 16  # bytes; what a broken connection loses at most
TIMEOUT = (10, 60)  # seconds: to connect, and between two pieces of the answer
PATIENCE = 120.0  # seconds: what a server may ask to wait (Retry-After)
_TEMPORARY = {408, 425, 429}  # like 5xx, these answers may be better the next time


@dataclass(frozen=True)
class File:
    """One published file.

    Parameters
    ----------
    path
        Place in ``data/raw/<data set>/``, with forward slashes.
    url
        Immutable address at the publisher.
    sha256
        Checksum, 64 hexadecimal digits.
    bytes
        Size.
    """

    path: str
    url: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class DataSet:
    """A published data set.

    Parameters
    ----------
    name
        The value of the ``{dataset}`` wildcard and of ``--dataset``.
    title
        What it is, in a few words.
    licence
        SPDX identifier, or a phrase.
    citation
        Publication to cite, with its DOI.
    reader
        Name of the reader of the study's ``prepare`` step.
    files
        All files that the study uses.
    """

    name: str
    title: str
    licence: str
    citation: str
    reader: str
    files: tuple[File, ...]

    def file(self, path: str) -> File:
        """Return the file at ``path``, or raise InputError with the nearest name."""
        for file in self.files:
            if file.path == path:
                return file
        hint = nearest(path, [file.path for file in self.files])
        raise InputError(f"--file: data set {self.name!r} has no file {path!r}; {hint}")


def _alpgm(commit: str, folder: str, path: str, size: int, sha256: str) -> File:
    """Return a file of the ALPGM repository: it is called in ``folder`` as at the end of ``path``.

    The stored predictions are the exception: four folders hold a file of one name each.
    """
    name = path
    if path.startswith("published/"):
        scheme, weights = path.removeprefix("published/").split("_SMB")[0].split("_", 1)
        name = f"{scheme}/{weights}/SMB_nn_all.txt"
    url = f"https://raw.githubusercontent.com/JordiBolibar/ALPGM/{commit}/{folder}/{name}"
    return File(path, url, sha256, size)


_GLIMS = "glacier_data/GLIMS"
_SMB = "glacier_data/smb"
_SAFRAN = "glacier_data/smb/smb_function/SAFRAN"
_ANN = "glacier_data/smb/ANN"

_V1 = "2bff00cf4d651df15b8ec0086b96416c727413e9"  # tag v1.0
_LATER = "55061173681ce73ac3822df8e61543107b478276"
_LAST_SAFRAN = "8dd12d400726664fd249f624b69c550d20ffe3f1"  # later commits no longer hold it

_BOLIBAR = (
    "Bolibar et al. (2020), The Cryosphere 14, 565–584, https://doi.org/10.5194/tc-14-565-2020"
)


def _crc(path: str, size: int, sha256: str) -> File:
    """Return a file of the repository that holds the seven cohorts as tables."""
    folder = "data/raw" if path == "metadata.csv" else "data/raw/species_chunks"
    url = f"https://raw.githubusercontent.com/alejandro-publius/crc-metagenomics/{_CRC}/{folder}/{path}"
    return File(path, url, sha256, size)


_CRC = "53ea1f2dd24a878f78c42c47fb3b29301886f421"
_DEEPMICRO = "b0502a0a087facfd2e93e928c4362546d496ea91"


def _zarr(path: str, size: int, sha256: str) -> File:
    """Return a file of the air temperature store."""
    url = f"https://raw.githubusercontent.com/scottyhq/zarrdata/{_ZARRDATA}/{path}"
    return File(path, url, sha256, size)


def _ebas(path: str, size: int, sha256: str) -> File:
    """Return a file of surface ozone, as exported by EBAS."""
    folder = "ozone_datasets/Ebas_221019_1549"
    url = f"https://raw.githubusercontent.com/matt-rowlinson/NCAS_CVAO/{_NCAS}/{folder}/{path}"
    return File(path, url, sha256, size)


def _listed(name: str, folder: str) -> tuple[File, ...]:
    """Return the files of checksums/<name>.txt; their addresses are below ``folder``."""
    listed = Path(__file__).with_name("checksums") / f"{name}.txt"
    rows = [line.split() for line in listed.read_text(encoding="utf-8").splitlines()[1:]]
    return tuple(File(path, f"{folder}/{path}", sha256, int(size)) for sha256, size, path in rows)


def _askervein(path: str, size: int, sha256: str) -> File:
    """Return a file of Askervein: the masts from Zenodo, the others from NIST's repositories."""
    if path == "askervein_validation1.txt":
        return File(path, f"https://zenodo.org/records/4095052/files/{path}", sha256, size)
    name = path.removeprefix("TU03A/")
    place = f"exp/{_NIST[name]}" if name in _NIST else f"cad/{_NIST_MAP}"
    url = f"https://raw.githubusercontent.com/firemodels/{place}/Askervein_Hill/{name}"
    return File(path, url, sha256, size)


def _dem(path: str, place: str, size: int, sha256: str) -> File:
    """Return an elevation model, one of each of four repositories."""
    return File(path, f"https://raw.githubusercontent.com/{place}", sha256, size)


_NIST = {
    "AASW-AANE_TU03A_10m.csv": "bdc203c063e6c56c4885668d7076815245b51c01",
    "AASW-AANE_TU03A_10m_MF.csv": "9984b49ba9c07a9d45a2abec295bcafce89d268d",
    "AASW-AANE_TU03A_10m_TU.csv": "bdc203c063e6c56c4885668d7076815245b51c01",
    "ASW-ANE_TU03A_10m.csv": "169ebcaf5404011b10cf89132ac1b5d006e9c7f1",
    "ASW60_TU03A_UK30m_tower.csv": "0eca947bd6a51c7906f66ddc126e9150a45ae61c",
    "BNW-BSE_TU03A_10m.csv": "0eca947bd6a51c7906f66ddc126e9150a45ae61c",
    "CP_TU03A_FRG17m_tower_MF.csv": "bdc203c063e6c56c4885668d7076815245b51c01",
    "CP_TU03A_FRG17m_tower_TU.csv": "bdc203c063e6c56c4885668d7076815245b51c01",
    "RS-HT_TU03A_50m_tower.csv": "7f550fe6bc2a38b728f7ba4d645357fb3cae2b55",
}
_NIST_MAP = "bfa044b0633487d185920299feb67bb873dfc522"
_OGGM = "OGGM/oggm-sample-data"
_ZARRDATA = "21a5cee3b158d1801692715e1e87e3392fadf87e"
_NCAS = "410cef8e1e1933169b0399fa754c243fdb0ce5c6"
_CMAQ = "40b6712dbb3edf1c04957373ff20afa1b489d8e4"  # tag CMAQv5.1_Public_08Dec2016
_STATIONS = "557ec0e1d478a9da15e6a108004e8d3a08ce6571"

# fmt: off
_ALL = (
    DataSet(
        name="alpgm",
        title="Mass balance of 32 French Alpine glaciers, 1959–2015, as first published "
        "(ALPGM v1.0): for the audit of the published numbers only",
        licence="GPL-3.0",
        citation=_BOLIBAR,
        reader="alpgm",
        files=(
            _alpgm(_V1, _SMB, "SMB_raw_temporal.csv", 6721, "3ea0fe7a8a01c3480c768aa36bc69740664540eb08043687cffd8aae421eb1a9"),
            _alpgm(_V1, _GLIMS, "GLIMS_Rabatel_30_2015.csv", 4399, "498c790e0807587ed2d359a3941547dd507d18749956ba10b23b31389a26dca3"),
            _alpgm(_V1, _GLIMS, "GLIMS_1967.csv", 66768, "9bd111e6f0419d5713c555ddfd6f5ebd4c71e7f348abd716441eb5431b1148a0"),
            _alpgm(_V1, _GLIMS, "GLIMS_1985.csv", 66787, "60507370010856f4bcb48ef93a6e83d9697163a4da080e3f71560b7411641722"),
            _alpgm(_V1, _GLIMS, "GLIMS_2003.csv", 82364, "830738aa7f602af1aca0a4c79209abd7dadf5996fd5eb620f642fe5120c09edc"),
            _alpgm(_V1, _SAFRAN, "season_meteo_SMB.txt", 154589, "28d1c0139b50d75d0eb9e6a6c638c10cbda6d7ffbf7cb7dd2a507b6fadd35d33"),
            _alpgm(_V1, _SAFRAN, "season_raw_meteo_anomalies_SMB.txt", 63709, "6d48d02aace0d0cda2a4fe10da7af6b541c4c8b0929369b12c479493d346fa95"),
            _alpgm(_V1, _SAFRAN, "monthly_meteo_SMB.txt", 821262, "dd589f5c6417da75e44d778bebe0520db1cb2f18f3fa5c6b5b43e1c6f95ddb08"),
            _alpgm(_V1, _SAFRAN, "monthly_meteo_anomalies_SMB.txt", 852173, "a172fcb86d519d123beaebadb84201f46df9094a9e4624448b3449a9ae72d3ed"),
            _alpgm(_V1, _ANN, "published/LOGO_no_weights_SMB_nn_all.txt", 8504, "c48b2a9775e49bd4db3ac5cc2575b59af54166cea743eab837e110cb1729f2d9"),
            _alpgm(_V1, _ANN, "published/LOGO_weights_SMB_nn_all.txt", 8504, "b14a2a0053d84dfd1d08d3272b8150a9e8d5ab0d9801c831167ea7cb5820192d"),
            _alpgm(_V1, _ANN, "published/LOYO_no_weights_SMB_nn_all.txt", 8008, "c8c14c79d9d7069fd84aa04325c195108651e00cc86b89505876b181bb840bc7"),
            _alpgm(_V1, _ANN, "published/LOYO_weights_SMB_nn_all.txt", 8008, "3259f823768595fe4e75040c52aac9e394c390ecbdcb1306985856cd359467ea"),
        ),
    ),
    DataSet(
        name="alpgm-corrected",
        title="The same glaciers with the authors' later corrections of one mass balance series, "
        "of the inventories and of the climate: for modelling",
        licence="GPL-3.0",
        citation=_BOLIBAR,
        reader="alpgm",
        files=(
            _alpgm(_LATER, _SMB, "SMB_raw_temporal.csv", 6729, "7f442e0080c961a17cef86a2a2ef89b4f690e4bde03e90de8a7257450f875f7d"),
            _alpgm(_LATER, _GLIMS, "GLIMS_Rabatel_30_2015.csv", 4562, "b2863d0e1a2ca20f813373f4a8f0c05c1cec54dd67de716f7b7aa195674c91bb"),
            _alpgm(_LATER, _GLIMS, "GLIMS_1967.csv", 66768, "0e730a5014648b4b2a84f4c48ef68b6f24add56d83a99d419648eb45a3f29cc9"),
            _alpgm(_LATER, _GLIMS, "GLIMS_1985.csv", 66787, "edf66b84a232ffe292cd844e31bbff021121697f39ed37d4c695979b8d311064"),
            _alpgm(_LATER, _GLIMS, "GLIMS_2003.csv", 85361, "5258827fe63d1978f4f1a90bd88f0586abdb386c97a98d64dda7c636c77fe5d4"),
            _alpgm(_LAST_SAFRAN, _SAFRAN, "season_meteo_SMB.txt", 154624, "9bd46ac014554c2283b3c15d7fafc9f9e1f2a85765521b0fd596b114ea4075ef"),
            _alpgm(_LAST_SAFRAN, _SAFRAN, "season_raw_meteo_anomalies_SMB.txt", 63747, "535d44be0a5167f3f162842b6eb1cdd0d2d7c14925be090f80331c157eca968a"),
            _alpgm(_LAST_SAFRAN, _SAFRAN, "monthly_meteo_SMB.txt", 821292, "d3125c5263fcae1f4610937df74eb817bb50fa915fcca670209fe525b7ff13dc"),
            _alpgm(_LAST_SAFRAN, _SAFRAN, "monthly_meteo_anomalies_SMB.txt", 852266, "897aa266300ba3a4191da7832531e05dbd603015cf3a3231a390929be67bea97"),
        ),
    ),
    DataSet(
        name="pasolli2016",
        title="Species abundances of 1156 gut metagenomes in six case-control tasks, as collected for "
        "DeepMicro (Oh and Zhang 2020)",
        licence="MIT",
        citation="Pasolli et al. (2016), PLoS Comput. Biol. 12, e1004977, "
        "https://doi.org/10.1371/journal.pcbi.1004977",
        reader="pasolli2016",
        files=(
            File("abundance.zip", f"https://raw.githubusercontent.com/minoh0201/DeepMicro/{_DEEPMICRO}/data/abundance.zip", "91d7af3691e90d1be4e1a07e374a20a2d0a92345bf7112e022030c02920f5cb2", 531347),
        ),
    ),
    DataSet(
        name="crc-cohorts",
        title="Species abundances of seven cohorts of colorectal cancer, from curatedMetagenomicData",
        licence="Artistic-2.0",
        citation="Pasolli et al. (2017), Nat. Methods 14, 1023–1024, "
        "https://doi.org/10.1038/nmeth.4468",
        reader="crc-cohorts",
        files=(
            _crc("FengQ_2015.csv", 368779, "d0bfb760e6897d29d44d9ab97b99644001ac6c5c03658174e6ef780a835abb94"),
            _crc("ThomasAM_2018a.csv", 174244, "c565238ed386d534ce925d5368d7cc3f634ef55b2808706633fb3478e4bc4133"),
            _crc("ThomasAM_2018b.csv", 165679, "5e8938736dec255b91586dfc3de905c9d8ae5bb14a83fe4fc9b84666e497e2a1"),
            _crc("ThomasAM_2019_c.csv", 195553, "a834ed62f3fcb0e0dffee0b4764c7c513ac917c9d5d3d10c7d8767d7237009be"),
            _crc("VogtmannE_2016.csv", 254335, "b963b3eb24bcb50f799cad90bcac3865fa9d2743feb5149f04fb238fc935b767"),
            _crc("YuJ_2015.csv", 306713, "c16ab530a30cb4a7fa29ab11ddd435e6d9ccbd9801d9869161a0c5fa175c6577"),
            _crc("ZellerG_2014.csv", 399653, "044b669a1da8562db7f6fa351df3b389433caa90e415e02f297ad32e7b9e7386"),
            _crc("metadata.csv", 51213, "1eb6aad4cc01efb64d70581bf956f57804f90a310114a8df1e5360732717c954"),
        ),
    ),
    DataSet(
        name="toms-omi-ozone",
        title="Total ozone from TOMS and OMI, 643 global maps of 17 × 16 values, 1978–2013, as "
        "distributed with the air quality model CMAQ",
        licence="public domain (US)",
        citation="McPeters et al. (2008), J. Geophys. Res. 113, D15S14, "
        "https://doi.org/10.1029/2007JD008802",
        reader="toms",
        files=(
            File("OMI.dat", f"https://raw.githubusercontent.com/USEPA/CMAQ/{_CMAQ}/models/CCTM/phot/inline/OMI.dat", "4c39c5c593d8357d8c4bef6e757cc8d29daad9dbacd94da571b587d5e11bc447", 899070),
        ),
    ),
    DataSet(
        name="melbourne-ozonesondes",
        title="456 ozone soundings of Melbourne, 2004–2013, from the World Ozone and Ultraviolet "
        "Radiation Data Centre (WOUDC)",
        licence="free with acknowledgement of the agency and of WOUDC",
        citation="Greenslade et al. (2017), Atmos. Chem. Phys. 17, 10269–10290, "
        "https://doi.org/10.5194/acp-17-10269-2017",
        reader="woudc",
        files=_listed("melbourne-ozonesondes", f"https://raw.githubusercontent.com/jibbals/stations/{_STATIONS}/data/sondes/Melbourne"),
    ),
    DataSet(
        name="nmc-air-temperature",
        title="Air temperature of the NMC reanalysis over North America, six-hourly, 2013–2014, "
        "xarray's tutorial data as Zarr",
        licence="MIT",
        citation="Kalnay et al. (1996), Bull. Am. Meteorol. Soc. 77, 437–472, "
        "https://doi.org/10.1175/1520-0477(1996)077<0437:TNYRP>2.0.CO;2",
        reader="grid",
        files=(
            _zarr("air_temperature.zarr/.zattrs", 307, "e3a8bae306384cbf50386fb5144f98e59d240c803fc265a144a6cf44a91cc9ac"),
            _zarr("air_temperature.zarr/.zgroup", 24, "2383746e67b4bcc2762b3f100f06c3fa2d5f149ab5a8e5da5d33521464a01959"),
            _zarr("air_temperature.zarr/.zmetadata", 4002, "8c5d059ade37f394f5875660fa4d8854ad5cd53c71038ecf1dd39a5edb80111b"),
            _zarr("air_temperature.zarr/air/.zarray", 365, "e49cf65724e2362b6be30b5770cc6fb88a159edd4921c8624155780ffd02b192"),
            _zarr("air_temperature.zarr/air/.zattrs", 497, "3f24b3e73837529249f87e4d384d0dd3593ac184fad9c3e1a8730fab5522e324"),
            _zarr("air_temperature.zarr/air/0.0.0", 409500, "a15219f7c35cd3b9dcf2ab664df43af365f61905bc235e6b08df656b8910de58"),
            _zarr("air_temperature.zarr/air/0.0.1", 416958, "6d19493e4d59319a57e0c70897202be4d33b3295d05b2d2cbda970bc2d8459cd"),
            _zarr("air_temperature.zarr/air/0.1.0", 380689, "700f15b8f8bd0814458caa19790a7b2c5f3c1985dd993539b8a289598ebad40d"),
            _zarr("air_temperature.zarr/air/0.1.1", 364089, "4add6ef4892c6dbe80abde65849774ee62c758ec5b67369c4d03ebe4711666b2"),
            _zarr("air_temperature.zarr/air/1.0.0", 411163, "dfa3c4a587dddadabc032f5b28208caf914a884b92fd7b714a64b9c3748df16a"),
            _zarr("air_temperature.zarr/air/1.0.1", 418004, "848d2bb36e3601a0e9558ec565dd3776238a1182798a835facd615b677cc6233"),
            _zarr("air_temperature.zarr/air/1.1.0", 378448, "8adb18d38d199b54a83dc9073a65207f9af4c8c574085134112c561af3c730b9"),
            _zarr("air_temperature.zarr/air/1.1.1", 360461, "2c214b1f89e7002edab039245f5cad45e82230d5b55d111686d80b515dae7348"),
            _zarr("air_temperature.zarr/air/2.0.0", 409460, "d02b27e9acdbc796ba6bdb507c9f9d432e0c3313172b806627c586d5e225c808"),
            _zarr("air_temperature.zarr/air/2.0.1", 417023, "dbf72fd22b9c1fc6d66ee39329af47ac44b81386bda3e7775c75b70905d426ed"),
            _zarr("air_temperature.zarr/air/2.1.0", 380058, "a3ef936cf5b86dbd577f7fbc765de041c6556fa0d39de28173be6aca86fabdbd"),
            _zarr("air_temperature.zarr/air/2.1.1", 368501, "e92524bef91cefbc5ad0a3266c163e4e7fff3255533d9c9c77f6e7f6b3959965"),
            _zarr("air_temperature.zarr/air/3.0.0", 409728, "9f8955a720d2de3a1ae01fed1a0f396aaec51fc685a5c8e369776da3671e1edb"),
            _zarr("air_temperature.zarr/air/3.0.1", 417785, "ffdf0cc05e47136295a7a86ae80b9b91e447f6490abf3eebb676c31248e3ecd6"),
            _zarr("air_temperature.zarr/air/3.1.0", 377615, "1062ab9e79be8926d1c1a75da3479da7d6a0653e19519c094eeb90124c590af9"),
            _zarr("air_temperature.zarr/air/3.1.1", 361520, "d210f9b13941efb9aa57703b24b965c91a4bbd1378aa59b60d2577fdc43b5eb3"),
            _zarr("air_temperature.zarr/lat/.zarray", 315, "a9067343db198283f09db8cede9ad2e5830512e1c8bd7ebf108cb5c90c0528a2"),
            _zarr("air_temperature.zarr/lat/.zattrs", 159, "93895f2189047140dcdb1378ccbce9e1f9407139d9d477748afc68be32163b92"),
            _zarr("air_temperature.zarr/lat/0", 116, "6c8fa202409c18d8a55539b824d81cc43bd9f017f1a60ff3ca684136d8ee6f53"),
            _zarr("air_temperature.zarr/lon/.zarray", 315, "78a23434e14f3fc9dd344eb9bf6125644ce1cf596d1b3e81a078fa3de4dfcd6c"),
            _zarr("air_temperature.zarr/lon/.zattrs", 160, "707359ce97b790cd613db52452aea1c0af7268b8c61d1fbf92c4a7cf442629c7"),
            _zarr("air_temperature.zarr/lon/0", 118, "1ebde77055aee62e923675a9bb49373b2e5784f332e485abf08f64b2303a066b"),
            _zarr("air_temperature.zarr/time/.zarray", 319, "eaa5c66508ec1709f94aa1c94ed8fdb065b390d5986b06cd445c93afaa48cd9d"),
            _zarr("air_temperature.zarr/time/.zattrs", 172, "4fa119828d442334c4bfc23e81ab6ab94a296e4af483b3667f6614a199fa5e1c"),
            _zarr("air_temperature.zarr/time/0", 2549, "fa8c1c7cfa079f1e425b33b81f7aeb9994be8bbca85347c49212ee35845121ea"),
        ),
    ),
    DataSet(
        name="mauna-loa-ozone",
        title="Hourly surface ozone at Mauna Loa, 3397 m, 2013 and 2014, from EBAS",
        licence="free with acknowledgement of NOAA and of EBAS",
        citation="McClure-Begley et al. (2014), NOAA, https://doi.org/10.7289/V57P8WBF",
        reader="ames",
        files=(
            _ebas("US1200R.20130101000000.20181119131326.uv_abs.ozone.air.1y.1h.US06L_Thermo_49C_MLO.US06L_AM.lev2.nas", 919128, "1ee11b2a67739aaa41204890c208d2cfbf31840ee19574345ce2de36fa19e3db"),
            _ebas("US1200R.20140101000000.20180129171638.uv_abs.ozone.air.1y.1h.US06L_Thermo_49C_MLO.US06L_AM.lev2.nas", 919128, "987912bf5a0db455fc35f34e7f92c7f251d662838e3cbacc45ac600b82e82fbd"),
        ),
    ),
    DataSet(
        name="dem",
        title="Elevation models of four massifs: Davos and Ötztal (SRTM), the Bernese Alps north of "
        "the Aletsch, and Big Butte, Idaho",
        licence="public domain (US), OGGM sample data, ETH Zurich geodata",
        citation="Farr et al. (2007), Rev. Geophys. 45, RG2004, "
        "https://doi.org/10.1029/2005RG000183",
        reader="geotiff",
        files=(
            _dem("davos.tif", "blumenthal/ubx_robotscenegraph/6a197df2b4d66dadfd88de28ac28f403b4b32c8b/examples/maps/dem/davos.tif", 747943, "d365c7512aa1ce18f6b6aee3819acc0fb0ab4d444c2b7f0050f15a3c6819036b"),
            _dem("aletsch.tif", f"{_OGGM}/7279b6ed3703f38acf5f08400184131ed34969c3/realisation/RGI50-11.01270/dem.tif", 459256, "015f914bf025f50c2a1e8fe230183c4d3d6aaee36a3d6bd2e57d3e08e1c1f689"),
            _dem("big_butte.tif", "firelab/windninja/559159c9032557ef191f342ad63b7f2f2ab03271/data/big_butte.tif", 1036821, "3f33b19fe74d004e5ea79f0a1f0153014defa8868c6f52694e3266c860ce50ab"),
            _dem("oetztal.tif", f"{_OGGM}/489c9062d541dfeb15a88f9fd4c2960289dedd91/test-workflow/srtm_oetztal.tif", 520753, "d32e857294a63489fe34b832c3dd8b1bbbad94ad5f6b8a656b0b86085d2c1f0a"),
        ),
    ),
    DataSet(
        name="askervein",
        title="The wind over Askervein hill, 1983: its contours, and the speed-up at the masts in the "
        "neutral run TU03",
        licence="CC-BY-4.0 (masts), public domain (US)",
        citation="Taylor and Teunissen (1987), Boundary-Layer Meteorol. 39, 15–39, "
        "https://doi.org/10.1007/BF00121863; https://doi.org/10.5281/zenodo.4095052",
        reader="askervein",
        files=(
            _askervein("Askervein_Neutral_elevation-roughness.map", 1885598, "108be304240582f8fe3c82ddfe9d75f9cc30ce54a56f688fdbf997667d850b1a"),
            _askervein("TU03A/AASW-AANE_TU03A_10m.csv", 344, "85f986b4f2e2a0b758a59436ecd6bba4b321a7fdf105d17f00110e080b588c70"),
            _askervein("TU03A/AASW-AANE_TU03A_10m_MF.csv", 156, "3056a4f3fd1979d07e4bfde47b5a0635fbba23d6e78fd53b60b0d10c00ba96ce"),
            _askervein("TU03A/AASW-AANE_TU03A_10m_TU.csv", 470, "71a516c66fabc1b8c198f39857e501236dff78843faea0870f0b39ae8ad10da2"),
            _askervein("TU03A/ASW-ANE_TU03A_10m.csv", 1015, "2b7bc1bcbfc0aa6cf12d9d0bec25ce1b483d3587dddc8b5a74154c12c6a3e8e2"),
            _askervein("TU03A/ASW60_TU03A_UK30m_tower.csv", 381, "3ae9eb03b7d431139e8866b2316982d205d16edc91ae5c1bed6f931d4227158c"),
            _askervein("TU03A/BNW-BSE_TU03A_10m.csv", 309, "72b5319ba080acc76364dbfaa2c725c97a4a246c1eefee8be63272e0be593cc7"),
            _askervein("TU03A/CP_TU03A_FRG17m_tower_MF.csv", 74, "0b17c49bae81c838dd7d8968fb74ebf2cf610ff3e5c156e835bd50db1a0d776b"),
            _askervein("TU03A/CP_TU03A_FRG17m_tower_TU.csv", 451, "74950b1367f4304d9f836b13a1c2902d682c293b14aae244cdf5a0e28e092c7f"),
            _askervein("TU03A/RS-HT_TU03A_50m_tower.csv", 242, "992f22db315df115942b878990a40eea0ffe09cbe07ddd7b5bc1e5cd8888a313"),
            _askervein("askervein_validation1.txt", 5181, "ebf1541ff18882ac81d793344a00b5c3da075f8f40762e4f41366b74d58ba965"),
        ),
    ),
)
# fmt: on

DATASETS: dict[str, DataSet] = {dataset.name: dataset for dataset in _ALL}


def find(name: str) -> DataSet:
    """Return the data set called ``name``, or raise InputError with the nearest name."""
    if name not in DATASETS:
        raise InputError(f"--dataset: no data set {name!r}; {nearest(name, DATASETS)}")
    return DATASETS[name]


def describe(datasets: Iterable[DataSet] = _ALL) -> str:
    """Return the table of data sets in Markdown, for the documentation."""
    lines = [
        "| data set | what | files | MB | licence | cite |",
        "|---|---|---:|---:|---|---|",
    ]
    for one in datasets:
        megabytes = sum(file.bytes for file in one.files) / 1e6
        lines.append(
            f"| `{one.name}` | {one.title} | {len(one.files)} | {megabytes:.1f} "
            f"| {one.licence} | {one.citation} |"
        )
    return "\n".join(lines) + "\n"


def fetch(dataset: DataSet, file: File, output: Path, mirror: str | None = None) -> None:
    """Bring one file of a data set to ``output``, verified.

    A file that is already there is checked and kept, so that one put there by hand is accepted.

    Parameters
    ----------
    mirror
        Where to take the file from in place of its publisher; by default the environment variable
        ``CASESTUDIES_MIRROR``, if set.

    Raises
    ------
    InputError
        If the file cannot be had or is not the published one (nothing is left behind), or if
        another file is at ``output`` (it is left alone).
    WriteError
        If it cannot be written, for instance on a full disk (nothing is left behind).
    """
    output = Path(output)
    if output.exists():
        if difference := _difference(output, file):
            raise InputError(
                f"{output}: not the published file: {difference}. It was left as it is; move it "
                "away to have the published one downloaded."
            )
        log.info("%s: already there, checksum right", output)
        return
    source = _source(dataset, file, mirror)
    part = output.with_name(f".{output.name}.part")
    try:
        with named(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Path):
                _copy(source, part)
            else:
                _download(source, part, file)
            if difference := _difference(part, file):
                raise _Failed(f"what came is not the published file: {difference}")
            part.replace(output)
    except _Failed as error:
        discard(part)
        published = "" if source == file.url else f", published at {file.url}"
        raise InputError(
            f"{source}: {error}. Wanted is {file.path!r} of data set {dataset.name!r}: "
            f"{file.bytes} bytes, sha256 {file.sha256}{published}. Nothing was kept. Without a "
            f"network, put that file at {output}, or as {dataset.name}/{file.path} into a folder "
            f"named by the configuration key datasets.mirror, --mirror or {MIRROR}."
        ) from error
    except Exception:
        discard(part)
        raise
    log.info("%s: %.2f MB from %s, checksum right", output, file.bytes / 1e6, source)


class _Failed(Exception):
    """The file could not be had; the message completes a sentence that starts with its source."""


def verify(dataset: DataSet, folder: Path, names: Iterable[str]) -> None:
    """Check files of a data set that are there already, however they came.

    Raises
    ------
    InputError
        If a file is missing or is not the published one.
    """
    for name in names:
        file, path = dataset.file(name), folder / name
        if not path.is_file():
            raise InputError(f"{path}: no such file; it is fetched from {file.url}.")
        if difference := _difference(path, file):
            raise InputError(
                f"{path}: not the published file: {difference}. Delete it to have it fetched again."
            )


def _difference(path: Path, file: File) -> str | None:
    """Say how the file at ``path`` differs from the published one; None if it does not."""
    if not path.is_file():
        return "it is not a file"
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found == file.sha256:
        return None
    return (
        f"expected {file.bytes} bytes with sha256 {file.sha256}, "
        f"got {path.stat().st_size} bytes with sha256 {found}"
    )


def _source(dataset: DataSet, file: File, mirror: str | None) -> str | Path:
    """Return the http(s) address or the local path from which to take a file."""
    mirror = mirror or os.environ.get(MIRROR)
    address = file.url
    if mirror and "://" not in mirror:
        return Path(mirror) / dataset.name / file.path
    if mirror:
        address = f"{mirror.rstrip('/')}/{dataset.name}/{quote(file.path)}"
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return address
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    raise InputError(
        f"{mirror or address}: not a place to fetch files from; name a folder, or an address that "
        "starts with file:///, http:// or https://."
    )


def _copy(source: Path, part: Path) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise _Failed(f"cannot be read ({error.strerror})") from error
    with stream, part.open("wb") as copy:
        shutil.copyfileobj(stream, copy)


def _download(url: str, part: Path, file: File) -> None:
    """Download into ``part``, continuing what is there, and try again after passing failures."""
    import requests  # what pooch downloads with; here, since the plan imports this module

    reason, asked = "", 0.0
    for attempt in range(ATTEMPTS):
        if attempt:
            wait = max(BACKOFF * 2 ** (attempt - 1), asked)
            log.info("%s: %s; trying again in %.0f s", url, reason, wait)
            time.sleep(wait)
        if part.exists() and part.stat().st_size >= file.bytes:
            part.unlink()  # nothing left to ask for, and not known to be right
        resumed = part.exists() and part.stat().st_size > 0
        asked = 0.0
        try:
            _get(url, part)
        except requests.HTTPError as error:
            status = error.response.status_code
            reason = f"the server answered {status} {error.response.reason}"
            if status < 500 and status not in _TEMPORARY:
                break
            asked = _retry_after(error.response.headers.get("Retry-After"))
            if asked > PATIENCE:
                reason += f" and asks to come back in {asked:.0f} s"
                break
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            got = part.stat().st_size
            answered = got or isinstance(error, requests.exceptions.ChunkedEncodingError)
            reason = (
                f"the connection broke off after {got} of {file.bytes} bytes"
                if answered
                else f"cannot be reached ({type(error).__name__})"
            )
        except requests.RequestException as error:
            reason = str(error)
            break
        else:
            if not resumed or _difference(part, file) is None:
                return
            part.unlink()  # begun as another file, or by another server: once more from the start
            reason = "the continued download does not fit what was there"
    raise _Failed(reason)


def _retry_after(value: str | None) -> float:
    """Return the seconds that a server asks to wait: RFC 9110, section 10.2.3; 0 if it does not."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):  # not a date either
        return 0.0


def _get(url: str, part: Path) -> None:
    """Append to ``part`` what a server sends from there on; from the start if it sends all."""
    import pooch

    with part.open("ab") as stream:

        def check(response: Any, **_: object) -> None:
            if response.status_code == 200:  # not 206: the range was ignored
                stream.truncate(0)

        # Compressed transfer would make positions and sizes mean something else.
        headers = {"Accept-Encoding": "identity"}
        if start := stream.tell():
            headers["Range"] = f"bytes={start}-"
        download = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(),
            chunk_size=CHUNK,
            timeout=TIMEOUT,
            headers=headers,
            hooks={"response": check},
        )
        download(url, stream, None)


def download(
    *, dataset: str, output: Path, file: str | None = None, mirror: str | None = None
) -> None:
    """Fetch and verify one file of a data set, or all.

    Parameters
    ----------
    dataset
        Name of the data set.
    output
        Path of the file; the folder of the data set if no file is named.
    file
        Path of the file in the data set; all files if not given.
    mirror
        Folder or address to take the files from; by default the value of CASESTUDIES_MIRROR.
    """
    found = find(dataset)
    if file is not None:
        fetch(found, found.file(file), output, mirror)
        return
    for each in found.files:
        fetch(found, each, output / each.path, mirror)


if __name__ == "__main__":
    main(download)
