// What a reader can do: sort and filter tables, enlarge figures, step through images and point at
// things. No library and no network; without this script all words, figures and tables are there.
"use strict";

/** Make an element: tag, attributes (a function listens), children. */
function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "g", "circle", "line", "text", "title"].includes(tag);
  const one = drawn
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") one.addEventListener(name, value);
    else one.setAttribute(name, value);
  }
  one.append(...children);
  return one;
}

/** A number as tables show it: three significant digits, with a real minus. */
function told(value, unit = "") {
  if (value === null || value === undefined) return "missing";
  const text = Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−") + (unit ? ` ${unit}` : "");
}

/** A labelled list to choose from. */
function chooser(label, options, changed) {
  const list = make("select", { change: () => changed(list.selectedIndex) });
  for (const option of options) list.append(make("option", {}, option));
  return make("label", {}, `${label} `, list);
}

/** The legend of a colour scale. */
function scale(palette, low, high, unit) {
  const bar = make("i", { "aria-hidden": "true" });
  bar.style.background = `linear-gradient(to right, ${palette.join(",")})`;
  return make("div", { class: "scale" }, told(low), bar, told(high, unit));
}

/** The colour of a value; null where it is missing. */
function colour(palette, low, high, value) {
  if (value === null) return null;
  const place = Math.round(((value - low) / (high - low || 1)) * (palette.length - 1));
  return palette[Math.min(Math.max(place, 0), palette.length - 1)];
}

/** Black or white, whichever is read on a colour. */
function inkOn(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

// ------------------------------------------------------------------------------------- tables

function table(box) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const lists = [...box.querySelectorAll("select[data-column]")];
  const search = box.querySelector("input[type=search]");
  const count = box.querySelector(".count");

  function filter() {
    const wanted = lists.filter((list) => list.value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      row.hidden = !(
        wanted.every((list) => row.cells[list.dataset.column].textContent === list.value) &&
        words.every((word) => text.includes(word))
      );
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
    // A phone has no room for columns that say the same in every row.
    body.parentElement.dataset.same = wanted.map((list) => Number(list.dataset.column) + 1).join(" ");
  }

  function sort(head, column) {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of box.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = head.classList.contains("number");
    const key = (row) => {
      const cell = row.cells[column];
      return numeric ? parseFloat(cell.dataset.value) : cell.textContent;
    };
    const keyed = rows.map((row) => [key(row), row]);
    keyed.sort(([a], [b]) => {
      if (!numeric) return (down ? -1 : 1) * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return down ? b - a : a - b;
    });
    body.append(...keyed.map(([, row]) => row));
  }

  [...box.querySelectorAll("thead th")].forEach((head, column) => {
    const name = head.textContent;
    head.replaceChildren(make("button", { type: "button", click: () => sort(head, column) }, name));
  });
  const chosen = JSON.parse(box.dataset.chosen);
  for (const list of lists) {
    if (list.dataset.name in chosen) list.value = chosen[list.dataset.name];
    list.addEventListener("change", filter);
  }
  search.addEventListener("input", filter);
  box.querySelector(".controls").hidden = false;
  filter();
}

// ---------------------------------------------------------------------------------------- map

function points(stage, data) {
  const width = 640;
  const margin = { left: 66, right: 20, top: 16, bottom: 42 };
  const ends = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = 0.08 * (high - low || 1);
    return [low - room, high + room];
  };
  const [west, east] = ends(data.x.values);
  const [south, north] = ends(data.y.values);
  const inner = width - margin.left - margin.right;
  const tall = Math.min(Math.max((inner * (north - south) * data.aspect) / (east - west), 180), 760);
  const height = tall + margin.top + margin.bottom;
  const x = (value) => margin.left + ((value - west) / (east - west)) * inner;
  const y = (value) => margin.top + ((north - value) / (north - south)) * tall;
  const said = make("div", { class: "told", role: "status" });
  const legend = make("div");
  const picture = make("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "group",
    "aria-label": `Map of ${data.names.length} ${data.noun}s; the arrow keys go from one to the next`,
  });
  for (const [low, high, along] of [[west, east, true], [south, north, false]]) {
    const step = 10 ** Math.floor(Math.log10(high - low));
    const hop = [0.1, 0.2, 0.5, 1].map((part) => part * step).find((one) => (high - low) / one < 8);
    for (let k = Math.ceil(low / hop); k * hop <= high; k += 1) {
      const text = String(Number((k * hop).toFixed(6)));
      const [at, stroke] = [along ? x(k * hop) : y(k * hop), "#e3e3e3"];
      picture.append(
        along
          ? make("line", { x1: at, x2: at, y1: margin.top, y2: margin.top + tall, stroke })
          : make("line", { y1: at, y2: at, x1: margin.left, x2: margin.left + inner, stroke }),
        along
          ? make("text", { x: at, y: height - 24, "text-anchor": "middle" }, text)
          : make("text", { x: margin.left - 6, y: at + 4, "text-anchor": "end" }, text),
      );
    }
  }
  picture.append(
    make("text", { x: margin.left + inner / 2, y: height - 6, "text-anchor": "middle" }, data.x.label),
    make("text", { transform: `translate(12 ${margin.top + tall / 2}) rotate(-90)`, "text-anchor": "middle" }, data.y.label),
  );
  let shown = data.variables[0];
  const largest = Math.max(...data.size);
  const order = data.size.map((_, k) => k).sort((a, b) => data.size[b] - data.size[a]);
  const marks = [];

  function tell(k) {
    for (const mark of marks) mark?.classList.toggle("on", mark === marks[k]);
    const lines = data.variables.map((one) => make("li", {}, `${one.label} ${told(one.values[k], one.unit)}`));
    said.replaceChildren(make("strong", {}, data.names[k]), ` (${data.notes[k]})`, make("ul", {}, ...lines));
  }
  order.forEach((k, place) => {
    marks[k] = make("circle", {
      cx: x(data.x.values[k]),
      cy: y(data.y.values[k]),
      r: 5 + (9 * data.size[k]) / largest,
      tabindex: place ? -1 : 0,
      role: "img",
      pointerenter: () => tell(k),
      click: () => marks[k].focus(),
      focus: () => tell(k),
      keydown: (event) => {
        const hop = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!hop) return;
        event.preventDefault();
        const next = marks[order[(place + hop + order.length) % order.length]];
        marks[k].tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      },
    });
    picture.append(marks[k]);
  });

  function paint(which) {
    shown = data.variables[which];
    const { palette, low, high } = shown;
    marks.forEach((mark, k) => {
      mark.setAttribute("fill", colour(palette, low, high, shown.values[k]) ?? "#ffffff");
      mark.setAttribute("aria-label", `${data.names[k]}: ${shown.label} ${told(shown.values[k])}`);
    });
    legend.replaceChildren(scale(palette, low, high, shown.unit));
  }
  const names = data.variables.map((one) => one.label);
  said.textContent = `${data.question} Point at a ${data.noun}.`;
  stage.append(
    make("div", { class: "controls" }, chooser("colour", names, paint)),
    legend,
    make("div", { class: "map" }, picture, said),
  );
  paint(0);
}

// ------------------------------------------------------------------------------------- matrix

function matrix(stage, data) {
  const size = data.names.length;
  const said = make("p", { class: "told", role: "status" });
  const body = make("tbody");
  const cells = [];
  let shown = data.layers[0];
  let last = null;

  function tell(k) {
    last = k;
    const [row, column] = [Math.floor(k / size), k % size];
    const how = row === column ? `, ${data.diagonal}` : "";
    const value = shown.auc[k];
    const range = value === null ? "too few to train on" : `${data.value} ${told(value)} [${told(shown.lower[k])}, ${told(shown.upper[k])}]`;
    said.textContent = `${shown.label}, ${data.rows} ${data.names[row]}, ${data.columns} ${data.names[column]} (${data.notes[column]})${how}: ${range}.`;
  }
  data.names.forEach((name, row) => {
    const line = make("tr", {}, make("th", { scope: "row" }, name));
    data.names.forEach((_, column) => {
      const k = row * size + column;
      const button = make("button", { type: "button", pointerenter: () => tell(k), focus: () => tell(k), click: () => tell(k) });
      cells[k] = make("td", row === column ? { class: "own" } : {}, button);
      line.append(cells[k]);
    });
    body.append(line);
  });
  function paint(which) {
    shown = data.layers[which];
    cells.forEach((cell, k) => {
      const back = colour(data.palette, data.low, data.high, shown.auc[k]);
      cell.style.background = back ?? "";
      cell.style.color = back ? inkOn(back) : "";
      cell.firstChild.textContent = shown.auc[k] === null ? "–" : shown.auc[k].toFixed(2);
    });
    if (last !== null) tell(last);
  }
  const heads = data.names.map((name) => make("th", { scope: "col" }, name));
  const grid = make(
    "table",
    { class: "matrix" },
    make("caption", {}, `${data.value}: rows, ${data.rows}; columns, ${data.columns}`),
    make("thead", {}, make("tr", {}, make("td"), ...heads)),
    body,
  );
  const frame = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Matrix of ${data.value}` }, grid);
  const names = data.layers.map((one) => one.label);
  said.textContent = "Point at a cell for its interval.";
  stage.append(
    make("div", { class: "controls" }, chooser("model", names, paint)),
    scale(data.palette, data.low, data.high, data.value),
    frame,
    said,
  );
  paint(0);
}

// ------------------------------------------------------------------------------------- fields

function fields(stage, data) {
  const [rows, columns] = data.shape;
  const missing = 65535;
  const caseOf = make("output");
  const said = make("p", { class: "told", role: "status" });
  const chosen = Object.fromEntries(data.choices.map((one) => [one.name, 0]));
  let at = data.start;

  /** Values of a panel for the chosen case and options; NaN where missing. */
  function values(panel) {
    if (panel.minus) {
      const [first, second] = panel.minus.map((title) => values(data.panels.find((one) => one.title === title)));
      return first.map((value, k) => value - second[k]);
    }
    let place = at;
    for (const name of panel.choices) {
      const { options } = data.choices.find((one) => one.name === name);
      place = place * options.length + chosen[name];
    }
    const bytes = Uint8Array.from(atob(panel.arrays[place]), (one) => one.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: rows * columns }, (_, k) => {
      const step = view.getUint16(2 * k, true);
      return step === missing ? NaN : panel.low + ((panel.high - panel.low) * step) / (missing - 1);
    });
  }

  const views = data.panels.map((panel) => {
    const canvas = make("canvas", { width: columns, height: rows, role: "img" });
    const palette = data.palettes[panel.colours];
    const figure = make(
      "figure",
      {},
      make("figcaption", {}, panel.title),
      canvas,
      scale(palette, panel.low, panel.high, panel.unit),
    );
    const parts = palette.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
    return { panel, canvas, figure, parts, now: null };
  });

  function paint() {
    caseOf.textContent = `${at + 1} of ${data.cases.length} – ${data.cases[at]}`;
    for (const view of views) {
      view.now = values(view.panel);
      const { low, high } = view.panel;
      const context = view.canvas.getContext("2d");
      const image = context.createImageData(columns, rows);
      view.now.forEach((value, k) => {
        if (Number.isNaN(value)) return;
        const place = Math.round(((value - low) / (high - low)) * (view.parts.length - 1));
        const [r, g, b] = view.parts[Math.min(Math.max(place, 0), view.parts.length - 1)];
        image.data.set([r, g, b, 255], 4 * k);
      });
      context.putImageData(image, 0, 0);
      const options = data.choices.filter((one) => view.panel.choices.includes(one.name)).map((one) => one.options[chosen[one.name]]);
      view.canvas.setAttribute("aria-label", `${[view.panel.title, ...options].join(", ")}; ${data.case} ${data.cases[at]}`);
    }
    said.textContent = `${data.note} Point at a place for its values.`;
  }
  function tell(event) {
    const box = event.target.getBoundingClientRect();
    const column = Math.min(Math.floor(((event.clientX - box.left) / box.width) * columns), columns - 1);
    const row = Math.min(Math.floor(((event.clientY - box.top) / box.height) * rows), rows - 1);
    if (column < 0 || row < 0) return;
    const parts = views.map(({ panel, now }) => {
      const value = now[row * columns + column];
      return `${panel.title} ${Number.isNaN(value) ? "missing" : told(value, panel.unit)}`;
    });
    said.textContent = `Column ${column + 1}, row ${row + 1}: ${parts.join("; ")}.`;
  }
  for (const { canvas } of views) canvas.addEventListener("pointermove", tell);

  const slider = make("input", {
    type: "range", min: 1, max: data.cases.length, value: at + 1,
    input: () => { at = Number(slider.value) - 1; paint(); },
  });
  const step = (hop) => () => {
    slider.value = Number(slider.value) + hop;
    slider.dispatchEvent(new Event("input"));
  };
  stage.append(
    make(
      "div",
      { class: "controls" },
      make("button", { type: "button", "aria-label": `previous ${data.case}`, click: step(-1) }, "◀"),
      make("label", { class: "wide" }, `${data.case} `, slider),
      make("button", { type: "button", "aria-label": `next ${data.case}`, click: step(1) }, "▶"),
      ...data.choices.map((one) => chooser(one.name, one.options, (k) => { chosen[one.name] = k; paint(); })),
    ),
    make("p", {}, caseOf),
    make("div", { class: "panels" }, ...views.map((view) => view.figure)),
    said,
  );
  paint();
}

// ---------------------------------------------------------------------------------------- all

const KINDS = { points, matrix, fields };
for (const box of document.querySelectorAll(".table")) table(box);
for (const stage of document.querySelectorAll("[data-explore]")) {
  const data = JSON.parse(stage.querySelector("script").textContent);
  KINDS[data.kind](stage, data);
}

const zoom = document.getElementById("zoom");
for (const paper of document.querySelectorAll(".paper")) {
  paper.addEventListener("click", () => {
    const image = paper.querySelector("img");
    zoom.querySelector(".full").replaceChildren(make("img", { src: image.src, alt: image.alt }));
    zoom.showModal();
  });
}
