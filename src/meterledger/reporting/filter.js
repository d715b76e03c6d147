"use strict";
// Filters the table of customers. Without it the whole table is there.
const form = document.getElementById("filters");
if (form) {
  const rows = [...document.querySelectorAll("#customers-table tbody tr")];
  const shown = document.getElementById("shown");
  const apply = () => {
    const words = form.elements.search.value.trim().toLowerCase();
    const meter = form.elements.meter.value;
    const landing = form.elements.landing.value;
    let count = 0;
    for (const row of rows) {
      const fits =
        row.cells[0].textContent.toLowerCase().includes(words) &&
        (!meter || row.dataset.meter === meter) &&
        (!landing || row.dataset.landing.split(" ").includes(landing));
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${rows.length} rows shown`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
}
