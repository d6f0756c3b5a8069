"use strict";
(() => {
  const heads = [...document.querySelectorAll("thead th")];
  const body = document.querySelector("tbody");
  const value = (row, column) => row.cells[column].dataset.value;

  // Lines without a value stay at the end, whichever way the others are sorted.
  const compare = (column, numeric, sign) => (first, second) => {
    const [a, b] = [value(first, column), value(second, column)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  };

  const sortBy = (column) => {
    const head = heads[column];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    // Array.sort keeps the order of equal lines.
    body.append(...[...body.rows].sort(compare(column, "numeric" in head.dataset, up ? 1 : -1)));
  };

  // MLflow shows a file in a frame without its address: from there no link leads to the file beside it.
  if (location.protocol === "blob:") {
    for (const link of document.querySelectorAll("tbody a")) link.removeAttribute("href");
    document.getElementById("alone").hidden = false;
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(column)));
})();
