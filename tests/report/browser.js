// Uses the page as a person does, and writes what happened into #findings.
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message || event.target)), true);
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
addEventListener("load", async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const find = (id) => document.getElementById(id), found = { errors };
  const pictures = () => [...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
  const slide = (value) => { find("layer").value = value; find("layer").dispatchEvent(new Event("input")); };
  try {
    await wait(500);
    const traces = (chart) => chart.querySelectorAll("svg.main-svg .scatterlayer .trace").length;
    found.charts = [...document.querySelectorAll(".js-plotly-plot")].map(traces);
    found.blank = [...document.querySelectorAll("canvas")].map((canvas) =>
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.every((byte) => byte === 0));
    const first = pictures();
    found.first = find("shown").textContent;
    slide(4);
    found.second = find("shown").textContent;
    found.changed = pictures().map((picture, k) => picture !== first[k]);
    slide(0);
    found.same = pictures().map((picture, k) => picture === first[k]);
    find("play").click();
    found.playing = find("play").textContent;
    await wait(450);
    found.after = Number(find("layer").value);
    find("play").click();
    found.stopped = find("play").textContent;
    const at = find("layer").value;
    await wait(450);
    found.rests = find("layer").value === at;
    find("play").click();
    await wait(4000);
    found.end = [Number(find("layer").value), find("shown").textContent, find("play").textContent];
    find("play").click();
    await wait(100);
    found.again = Number(find("layer").value);
    found.menus = [];
    for (const chart of document.querySelectorAll(".js-plotly-plot")) {
      const menu = [];
      for (const button of chart.layout.updatemenus[0].buttons) {
        await Plotly.update(chart, ...button.args);
        const shown = chart.data.filter((trace) => trace.visible === true);
        const axis = chart.layout.yaxis;
        menu.push([button.label, axis.title.text, axis.type, shown.map((trace) => trace.name)]);
      }
      found.menus.push(menu);
    }
    found.accuracies = document.querySelector(".js-plotly-plot").data.slice(0, 4).map((trace) => [...trace.y]);
    found.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
  } catch (error) {
    errors.push(String(error));
  }
  const box = document.createElement("pre");
  box.id = "findings";
  box.textContent = JSON.stringify(found);
  document.body.append(box);
});
