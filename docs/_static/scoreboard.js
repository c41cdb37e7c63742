// Sort and search the scoreboard. Without this script, the page shows everything in alphabetical order.
(() => {
  const tables = document.querySelectorAll(".scoreboard-architectures");
  if (!tables.length) return;
  tables.forEach(sortAndSearch);

  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const opened = target?.closest("details.scoreboard-found");
    if (!opened) return;
    opened.hidden = false; // links outside the table lead to what a search may have left out
    opened.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  function sortAndSearch(table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];

    // A cell is sorted by its number, or by its text where it has none. A tick without one is a
    // passed stage: there are too many of them to write it each time.
    const heads = table.tHead.rows[0].cells;
    const key = (row, column) => {
      const cell = row.cells[column];
      if (cell.dataset.key === "nan") return Infinity;
      if ("key" in cell.dataset) return Number(cell.dataset.key);
      return heads[column].classList.contains("scoreboard-tick") ? 0 : cell.textContent;
    };
    const compare = (one, other) =>
      typeof one === "number" ? one - other : one.localeCompare(other);

    [...heads].forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => {
        const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", direction);
        const sign = direction === "ascending" ? 1 : -1;
        rows.sort((one, other) => sign * compare(key(one, column), key(other, column)));
        body.append(...rows);
      });
    });
    heads[0].setAttribute("aria-sort", "ascending");

    const label = document.createElement("label");
    label.className = "scoreboard-search";
    label.textContent = "Search names, stages and errors ";
    const input = document.createElement("input");
    input.type = "search";
    const count = document.createElement("output");
    label.append(input);
    table.parentElement.before(label, count);

    const found = (row) => {
      const link = row.querySelector("a");
      return link ? document.getElementById(link.hash.slice(1)).closest("details") : null;
    };
    const details = new Map(rows.map((row) => [row, found(row)]));
    const failing = (row) => [...(details.get(row)?.querySelectorAll("pre") ?? [])].map((pre) => pre.textContent);
    const texts = new Map(
      rows.map((row) => [row, [row.textContent, ...failing(row)].join(" ").toLowerCase()]),
    );
    const search = () => {
      const words = input.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        if (details.get(row)) details.get(row).hidden = row.hidden;
      }
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = `${shown} of ${rows.length} architectures`;
    };
    input.addEventListener("input", search);
    search();
  }
})();
