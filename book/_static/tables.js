// Tables in a `.sortable` box: a click, Enter or Space on a column's head sorts by it, numbers from the largest.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".sortable table")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const text = (row, column) => row.cells[column].textContent.trim();
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rows = [...body.rows];
        const numeric = rows.every((row) => !Number.isNaN(parseFloat(text(row, column))));
        const sorted = head.getAttribute("aria-sort");
        const down = sorted ? sorted === "ascending" : numeric;
        const order = (a, b) =>
          numeric ? parseFloat(text(a, column)) - parseFloat(text(b, column)) : text(a, column).localeCompare(text(b, column));
        rows.sort((a, b) => (down ? -order(a, b) : order(a, b)));
        body.append(...rows);
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
    });
  }
});
