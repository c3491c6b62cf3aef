// Give each cell the words of its column, for a phone, where a narrow table is shown as one block per row (site.css).
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.docutils")) {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
    if (heads.length > 4) continue; // Figures side by side are compared: these are scrolled.
    table.classList.add("in-blocks");
    for (const row of table.querySelectorAll("tbody tr"))
      [...row.cells].forEach((cell, column) => (cell.dataset.column = heads[column] ?? ""));
  }
});
