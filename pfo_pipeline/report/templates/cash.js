"use strict";
// Draws each plot from the table behind it. Without scripts the page has the same figures, and pictures drawn beforehand.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const refused = () => Promise.reject(new Error("a page of its own loads nothing"));
  const loader = { load: refused, sanitize: refused, http: refused, file: refused };
  const options = {
    renderer: "svg", actions: false, ast: true, tooltip: false, defaultStyle: false, hover: false, logLevel: 1, loader,
    timeFormatLocale: plots.timeFormatLocale,
  };

  const rowsOf = (table) => [...table.tBodies[0].rows].reverse().map((row, index, all) => {
    const time = row.querySelector("time"), figure = row.querySelector("data");
    return {
      day: Date.parse(time.dateTime), name: time.textContent, ago: all.length - 1 - index,
      total: figure ? figure.value : null, text: figure ? figure.textContent : "no figure",
    };
  });

  const draw = async (figure) => {
    const rows = rowsOf(document.getElementById(figure.dataset.table));
    const place = figure.querySelector(".plot"), reading = figure.querySelector(".reading");
    const padding = plots.spec.padding, inside = () => Math.max(120, place.clientWidth - padding.left - padding.right);
    const height = Number(figure.dataset.height);
    const spec = { ...plots.spec, data: { ...plots.spec.data, values: rows }, width: inside(), height };
    const target = document.createElement("div");
    const slider = Object.assign(document.createElement("input"), { type: "range", max: rows.length - 1, step: 1 });
    slider.setAttribute("aria-label", `${figure.dataset.name}: the figure of a day`);
    place.replaceChildren(target, slider);
    const { view } = await vegaEmbed(target, spec, options);
    let shown = rows.length;

    const read = (index, isMarked) => {
      const row = rows[index];
      slider.value = index;
      slider.setAttribute("aria-valuetext", `${row.name}: ${row.text}`);
      reading.replaceChildren(
        Object.assign(document.createElement("time"), { dateTime: new Date(row.day).toISOString().slice(0, 10), textContent: row.name }),
        " ",
        Object.assign(document.createElement("b"), { textContent: row.text }),
      );
      view.signal("at", isMarked ? row.day : 0).run();
    };
    const rest = () => read(rows.length - 1, document.activeElement === slider);
    const under = (event) => {
      const box = slider.getBoundingClientRect(), first = rows.length - shown;
      const part = (event.clientX - box.left - padding.left) / Math.max(1, box.width - padding.left - padding.right);
      return first + Math.round(Math.min(1, Math.max(0, part)) * (shown - 1));
    };
    slider.addEventListener("input", () => read(Number(slider.value), true));
    slider.addEventListener("focus", () => read(Number(slider.value), true));
    slider.addEventListener("blur", rest);
    slider.addEventListener("pointermove", (event) => read(under(event), true));
    slider.addEventListener("pointerleave", rest);
    new ResizeObserver(() => { if (view.width() !== inside()) view.width(inside()).run(); }).observe(place);

    return (days) => {
      shown = Math.min(days, rows.length);
      slider.min = rows.length - shown;
      view.signal("days", days);
      rest();
    };
  };

  const begin = async () => {
    const choice = document.getElementById("period");
    if (!choice) return;
    const plots = await Promise.all([...document.querySelectorAll("figure[data-table]")].map(draw));
    const show = () => plots.forEach((plot) => plot(Number(choice.elements.days.value)));
    choice.addEventListener("change", show);
    show();
    choice.hidden = false;
    document.documentElement.dataset.plotted = plots.length;
  };
  begin();
})();
