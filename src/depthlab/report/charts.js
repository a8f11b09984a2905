// Draws the charts, with names at the ends of the curves, values under the pointer, and downloads; opens the cells of the tables.
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const NS = "http://www.w3.org/2000/svg", HEIGHT = 380, NARROW = 620;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const stroke = (hex) => {
    if (!dark.matches) return hex;
    const parts = [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
    return `rgb(${parts.map((part) => Math.round(part + 0.35 * (255 - part))).join(",")})`;
  };
  const make = (tag, attributes = {}, text = null) => {
    const element = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    return element;
  };
  const html = (tag, text = null, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== null) element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const shown = (value) => {
    if (value === null) return "no value";
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  };
  const sup = (power) => [...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
  const pen = document.createElement("canvas").getContext("2d");
  const wide = (text, font = "13px system-ui, sans-serif") => { pen.font = font; return pen.measureText(text).width; };
  const save = (name, type, text) => {
    const link = html("a", null, { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // The vertical axis: position of a value, and its ticks. On a logarithmic axis zeros are drawn on a floor.
  const vertical = (view, top, bottom) => {
    const all = view.curves.flatMap((curve) => [...curve.y, ...curve.low, ...curve.high]).filter((v) => v !== null);
    if (view.scale === "log") {
      const positive = all.filter((v) => v > 0), zeros = all.some((v) => v <= 0);
      const least = positive.length ? Math.floor(Math.log10(Math.min(...positive))) : 0;
      const most = positive.length ? Math.ceil(Math.log10(Math.max(...positive))) : 1;
      const floor = zeros ? least - Math.max(1, Math.ceil((most - least) / 12)) : least, high = Math.max(most, least + 1);
      const at = (v) => bottom - (bottom - top) * ((v > 0 ? Math.log10(v) : floor) - floor) / (high - floor);
      const step = Math.max(1, Math.ceil((high - least) / 7)), ticks = [];
      if (positive.length && Math.log10(Math.max(...positive) / Math.min(...positive)) < 2.5) {
        for (let power = least; power <= high; power++) for (const k of [1, 2, 5]) if (k === 1 || power < high) ticks.push([k * 10 ** power, shown(Number((k * 10 ** power).toPrecision(2)))]);
      } else {
        for (let power = high; power >= least; power -= step) ticks.push([10 ** power, `10${sup(power)}`]);
      }
      return { at, ticks, floor: zeros ? bottom : null };
    }
    let [low, high] = view.limits ?? [Math.min(0, ...all), Math.max(...all, 0)];
    if (!(high > low)) high = low + 1;
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough), ticks = [];
    high = view.limits ? high : Math.ceil(high / step) * step;
    low = view.limits ? low : Math.floor(low / step) * step;
    for (let k = Math.round(low / step); k * step <= high + step / 1e6; k++) ticks.push([k * step, shown(Number((k * step).toPrecision(6)))]);
    return { at: (v) => bottom - (bottom - top) * (v - low) / (high - low), ticks, floor: null };
  };

  const draw = (figure, chart, view) => {
    const width = figure.clientWidth, narrow = width < NARROW;
    const names = view.curves.map((curve) => content.methods[curve.method].name);
    const right = narrow ? 16 : Math.min(width * 0.34, 30 + Math.max(...names.map((name) => wide(name)), 20));
    const box = { left: 58, right: width - right, top: 32, bottom: HEIGHT - 44 };
    const svg = make("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, tabindex: 0, role: "img", "font-family": "system-ui, sans-serif", "font-size": 13 });
    svg.setAttribute("aria-label", `${view.label} ${chart.title}${view.depth ? `, ${view.depth} layers` : ""}: ${names.join(", ")}. Arrow keys read the values; the table below holds them.`);
    const every = [...new Set(view.curves.flatMap((curve) => curve.x))].sort((a, b) => a - b);
    const [low, high] = [every[0] ?? 0, every[every.length - 1] ?? 1];
    const on = (x) => (chart.log ? Math.log2(x) : x);
    const across = (x) => box.left + (box.right - box.left) * (high > low ? (on(x) - on(low)) / (on(high) - on(low)) : 0.5);
    const { at, ticks, floor } = vertical(view, box.top, box.bottom);
    const ink = color("ink"), soft = color("soft"), line = color("line"), paper = color("paper");
    svg.append(make("rect", { width, height: HEIGHT, fill: paper }));
    for (const [value, text] of ticks) {
      svg.append(make("line", { x1: box.left, x2: box.right, y1: at(value), y2: at(value), stroke: line }));
      svg.append(make("text", { x: box.left - 8, y: at(value) + 4, fill: soft, "text-anchor": "end" }, text));
    }
    if (floor !== null) {
      svg.append(make("line", { x1: box.left, x2: box.right, y1: floor, y2: floor, stroke: soft, "stroke-dasharray": "2 3" }));
      svg.append(make("text", { x: box.left - 8, y: floor + 4, fill: soft, "text-anchor": "end" }, "0"));
    }
    const most = Math.max(2, Math.floor((box.right - box.left) / 50));
    const stride = Math.max(1, Math.ceil((high - low) / most));
    const marks = chart.ticks ?? every.filter((x) => x === high || (x % stride === 0 && high - x > stride / 2));
    for (const x of marks) {
      svg.append(make("line", { x1: across(x), x2: across(x), y1: box.bottom, y2: box.bottom + 5, stroke: soft }));
      svg.append(make("text", { x: across(x), y: box.bottom + 19, fill: soft, "text-anchor": "middle" }, String(x)));
    }
    svg.append(make("text", { x: (box.left + box.right) / 2, y: HEIGHT - 6, fill: ink, "text-anchor": "middle" }, chart.x));
    svg.append(make("text", { x: 4, y: 14, fill: soft, "font-size": 12 }, `${view.label} (${view.statistic})`));
    if (view.guess != null) {
      svg.append(make("line", { x1: box.left, x2: box.right, y1: at(view.guess), y2: at(view.guess), stroke: soft, "stroke-dasharray": "1 4", "stroke-width": 2 }));
      svg.append(make("text", { x: box.left + 4, y: at(view.guess) - 4, fill: soft, "font-size": 12 }, "guessing"));
    }
    const ends = [];
    for (const curve of view.curves) {
      const look = content.methods[curve.method], paint = stroke(look.color);
      const points = curve.x.map((x, k) => [across(x), curve.y[k], curve.low[k], curve.high[k]]).filter((p) => p[1] !== null);
      if (!points.length) continue;
      const edge = [...points.map((p) => [p[0], at(p[3])]), ...points.map((p) => [p[0], at(p[2])]).reverse()];
      svg.append(make("polygon", { points: edge.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "), fill: paint, opacity: 0.13 }));
      svg.append(make("polyline", { class: "curve", points: points.map((p) => `${p[0].toFixed(1)},${at(p[1]).toFixed(1)}`).join(" "), fill: "none", stroke: paint, "stroke-width": 2.2, "stroke-dasharray": look.dash, "stroke-linejoin": "round" }));
      curve.x.forEach((x, k) => {
        if (curve.y[k] === null) return;
        const zero = floor !== null && curve.y[k] <= 0;
        if (chart.log || zero || curve.x.length < 40) svg.append(make("circle", { cx: across(x), cy: at(curve.y[k]), r: chart.log ? 4 : 2.4, fill: zero ? paper : paint, stroke: paint }));
        if (curve.missing[k]) svg.append(make("text", { x: across(x) + 5, y: at(curve.y[k]) - 6, fill: paint, "font-size": 11 }, curve.missing[k]));
      });
      const last = points[points.length - 1];
      ends.push({ name: look.name, paint, x: last[0], from: at(last[1]), y: at(last[1]), look });
    }
    if (!narrow) { // names at the ends, pushed apart
      ends.sort((a, b) => a.from - b.from);
      ends.forEach((end, k) => { if (k) end.y = Math.max(end.y, ends[k - 1].y + 15); });
      for (let k = ends.length - 1, limit = box.bottom; k >= 0; k--, limit -= 15) ends[k].y = Math.min(ends[k].y, limit);
      for (const end of ends) {
        svg.append(make("path", { d: `M${end.x + 5},${end.from}L${box.right + 8},${end.y}h6`, stroke: end.paint, fill: "none", "stroke-width": 1, opacity: 0.7 }));
        const text = make("text", { class: "name", x: box.right + 17, y: end.y + 4, fill: end.paint }, end.name);
        while (wide(text.textContent) > width - box.right - 18 && text.textContent.length > 4) text.textContent = `${text.textContent.slice(0, -2)}…`;
        text.append(make("title", {}, end.name));
        svg.append(text);
      }
    }
    const guide = make("line", { y1: box.top, y2: box.bottom, stroke: soft, visibility: "hidden" });
    svg.append(guide);
    return { svg, guide, across, every, narrow, ends, box };
  };

  const missed = (view) => view.curves.map((curve) => {
    const none = curve.x.filter((x, k) => curve.y[k] === null);
    return none.length ? `${content.methods[curve.method].name}: no value at ${none.join(", ")}` : "";
  }).filter(Boolean);

  const start = (figure) => {
    const [section, number] = figure.dataset.chart.split(" ").map(Number);
    const chart = content.charts[section][number], labels = [...new Set(chart.views.map((view) => view.label))];
    const depths = [...new Set(chart.views.map((view) => view.depth))].filter((depth) => depth !== null);
    const menu = html("select", null, { "aria-label": "measure" }), deep = html("select", null, { "aria-label": "depth" });
    labels.forEach((label) => menu.append(html("option", label, { value: label })));
    depths.forEach((depth) => deep.append(html("option", `${depth} layers`, { value: depth })));
    const bar = html("div", null, { class: "bar" }), body = html("div"), tip = html("div", null, { class: "tip", hidden: "" });
    const values = html("button", "CSV", { type: "button", class: "small", title: "download the drawn values" });
    const picture = html("button", "SVG", { type: "button", class: "small", title: "download the figure" });
    bar.append(html("h3", chart.title[0].toUpperCase() + chart.title.slice(1)), menu, ...(depths.length ? [deep] : []), values, picture);
    const table = html("details", null, { class: "note" });
    table.append(html("summary", "The values as a table"));
    figure.append(bar, body, tip, table);
    let view, drawn;
    const rows = () => drawn.every.map((x) => [x, ...view.curves.map((curve) => {
      const k = curve.x.indexOf(x);
      return k < 0 ? null : curve.y[k];
    })]);
    const show = () => {
      view = chart.views.find((one) => one.label === menu.value && (one.depth === null || one.depth === Number(deep.value)))
        ?? chart.views.find((one) => one.label === menu.value);
      drawn = draw(figure, chart, view);
      body.replaceChildren(drawn.svg);
      tip.hidden = true;
      if (drawn.narrow) {
        const names = html("ul", null, { class: "names" });
        for (const end of drawn.ends) {
          const item = html("li"), swatch = make("svg", { viewBox: "0 0 34 12", "aria-hidden": "true" });
          swatch.append(make("line", { x1: 0, x2: 34, y1: 6, y2: 6, stroke: end.paint, "stroke-width": 3, "stroke-dasharray": end.look.dash }));
          item.append(swatch, end.name);
          names.append(item);
        }
        body.append(names);
      }
      const none = missed(view);
      if (none.length) body.append(html("p", none.join("; "), { class: "note" }));
      const grid = html("table"), head = html("tr");
      [chart.x, ...view.curves.map((curve) => content.methods[curve.method].name)].forEach((name) => head.append(html("th", name, { scope: "col" })));
      grid.append(head);
      for (const row of rows()) {
        const line = html("tr");
        row.forEach((value, k) => line.append(html(k ? "td" : "th", k ? (value === null ? "no value" : shown(value)) : String(value), k ? {} : { scope: "row" })));
        grid.append(line);
      }
      const scroll = html("div", null, { class: "scroll" });
      scroll.append(grid);
      table.replaceChildren(table.firstElementChild, scroll);
      let at = -1;
      drawn.svg.addEventListener("pointermove", (event) => {
        const frame = drawn.svg.getBoundingClientRect();
        const x = (event.clientX - frame.left) * figure.clientWidth / frame.width;
        at = drawn.every.reduce((best, value, k) => (Math.abs(drawn.across(value) - x) < Math.abs(drawn.across(drawn.every[best]) - x) ? k : best), 0);
        point(at);
      });
      drawn.svg.addEventListener("pointerleave", () => point(-1));
      drawn.svg.addEventListener("blur", () => point(-1));
      drawn.svg.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        at = Math.min(drawn.every.length - 1, Math.max(0, at + step));
        point(at);
      });
    };
    const point = (k) => {
      tip.hidden = k < 0;
      drawn.guide.setAttribute("visibility", k < 0 ? "hidden" : "visible");
      if (k < 0) return;
      const x = drawn.every[k], left = drawn.across(x);
      drawn.guide.setAttribute("x1", left);
      drawn.guide.setAttribute("x2", left);
      const found = view.curves.map((curve) => [curve, curve.x.indexOf(x)]).filter(([, j]) => j >= 0);
      found.sort(([a, j], [b, i]) => (b.y[i] ?? -Infinity) - (a.y[j] ?? -Infinity));
      const grid = html("table");
      for (const [curve, j] of found) {
        const row = html("tr"), range = curve.low[j] !== curve.high[j] ? ` (${shown(curve.low[j])} to ${shown(curve.high[j])})` : "";
        const more = [curve.missing[j], curve.verdicts?.[j]].filter(Boolean).join(", ");
        row.append(html("th", content.methods[curve.method].name), html("td", shown(curve.y[j]) + range), html("td", more));
        grid.append(row);
      }
      tip.replaceChildren(html("strong", `${chart.x} ${x}`), grid);
      tip.style.top = `${body.offsetTop + 20}px`;
      tip.style.left = `${Math.max(0, Math.min(figure.clientWidth - tip.offsetWidth, left > figure.clientWidth / 2 ? left - tip.offsetWidth - 12 : left + 12))}px`;
    };
    const name = () => `${content.study}-${section}-${chart.x}-${view.label}${view.depth ? `-${view.depth}` : ""}`.replace(/[^\w.-]+/g, "-");
    values.addEventListener("click", () => {
      const quoted = (text) => `"${String(text).replace(/"/g, '""')}"`;
      const head = [chart.x, ...view.curves.map((curve) => quoted(content.methods[curve.method].name))].join();
      save(`${name()}.csv`, "text/csv", [head, ...rows().map((row) => row.map((v) => v ?? "").join())].join("\n") + "\n");
    });
    picture.addEventListener("click", () => {
      drawn.svg.setAttribute("xmlns", NS);
      save(`${name()}.svg`, "image/svg+xml", drawn.svg.outerHTML);
    });
    menu.addEventListener("change", show);
    deep.addEventListener("change", show);
    show();
    let known = figure.clientWidth;
    new ResizeObserver(() => { if (figure.clientWidth !== known) { known = figure.clientWidth; show(); } }).observe(figure);
    dark.addEventListener("change", show);
  };
  document.querySelectorAll(".chart").forEach(start);

  for (const button of document.querySelectorAll(".cell")) {
    button.addEventListener("click", () => {
      const [section, key] = button.dataset.cell.split(" ").map(Number), cell = content.cells[section][key];
      const box = document.getElementById(`evidence-${section}`), list = html("ul");
      box.hidden = false;
      box.replaceChildren(html("strong", `${cell.method}, depth ${cell.depth}: ${cell.verdicts}`));
      if (cell.evidence) box.append(html("p", cell.evidence));
      for (const run of cell.runs) {
        const item = html("li", `seed ${run.seed}, split ${run.split}: ${run.text} `);
        if (run.id && content.link) item.append(html("a", "run in MLflow", { href: content.link.replace("RUN", run.id), target: "_blank", rel: "noopener" }));
        else if (run.id) item.append(html("code", run.id));
        list.append(item);
      }
      box.append(list);
    });
  }
})();
