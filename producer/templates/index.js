
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const states = read("states");
  const projects = read("projects");
  const table = byId("table");
  const pageRows = Number(table.dataset.rows);
  const inputs = ["search", "species", "libraries", "state"].map(byId);
  const falling = new Set(["cells", "date"]);
  const number = new Intl.NumberFormat("en");
  const words = new Intl.Collator("en", { numeric: true });
  let sorted = { by: "date", falling: true };
  let found = projects;
  let page = 0;

  for (const project of projects) {
    project.species ??= [];
    project.libraries ??= [];
    project.cells ??= 0;
    project.date ??= "";
    project.error ??= "";
    const told = [project.project, ...project.species, ...project.libraries, project.reason, project.error];
    project.text = told.join(" ").toLowerCase();
  }

  const compared = {
    project: (one, other) => words.compare(one.project, other.project),
    species: (one, other) => words.compare(one.species, other.species),
    libraries: (one, other) => words.compare(one.libraries, other.libraries),
    cells: (one, other) => one.cells - other.cells,
    date: (one, other) => words.compare(one.date, other.date),
    state: (one, other) => words.compare(states[one.state][0], states[other.state][0]),
  };

  const rowOf = (project) => {
    const row = byId("row").content.firstElementChild.cloneNode(true);
    const cell = (name) => row.querySelector(`[data-is="${name}"]`);
    const link = cell("project").firstElementChild;
    link.textContent = project.project;
    if (project.page) link.href = `${encodeURIComponent(project.project)}/index.html`;
    else link.replaceWith(project.project);
    cell("species").textContent = project.species.join(", ");
    cell("libraries").textContent = project.libraries.join(", ");
    cell("cells").textContent = project.cells ? number.format(project.cells) : "";
    cell("date").textContent = project.date;
    const [label, style] = states[project.state];
    const badge = cell("state").firstElementChild;
    badge.textContent = label;
    badge.className = `badge ${style}`;
    if (project.alerts) {
      const alerts = document.createElement("span");
      alerts.className = "alerts";
      alerts.textContent = project.alerts === 1 ? "1 alert" : `${project.alerts} alerts`;
      cell("state").append(" ", alerts);
    }
    if (project.reason) {
      const code = document.createElement("code");
      code.textContent = project.reason;
      const why = document.createElement("p");
      why.append(code, ` ${project.error}`);
      cell("state").append(why);
    }
    return row;
  };

  const show = () => {
    const pages = Math.max(1, Math.ceil(found.length / pageRows));
    page = Math.min(page, pages - 1);
    const first = page * pageRows;
    const shown = found.slice(first, first + pageRows);
    byId("rows").replaceChildren(...shown.map(rowOf));
    const which = pages > 1 ? `, ${number.format(first + 1)} to ${number.format(first + shown.length)} shown` : "";
    byId("count").textContent = `${number.format(found.length)} of ${number.format(projects.length)} projects${which}`;
    byId("place").textContent = `Page ${number.format(page + 1)} of ${number.format(pages)}`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
    byId("pages").hidden = pages === 1;
    for (const head of table.querySelectorAll("[data-sort]")) {
      if (head.dataset.sort === sorted.by) head.setAttribute("aria-sort", sorted.falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  };

  const filter = () => {
    const [search, species, library, state] = inputs.map((input) => input.value);
    const parts = search.toLowerCase().split(/\s+/);
    found = projects.filter((project) =>
      parts.every((part) => project.text.includes(part)) &&
      (!species || project.species.includes(species)) &&
      (!library || project.libraries.includes(library)) &&
      (!state || project.state === state));
    page = 0;
    show();
  };

  const sort = (by) => {
    sorted = { by, falling: by === sorted.by ? !sorted.falling : falling.has(by) };
    const sign = sorted.falling ? -1 : 1;
    projects.sort((one, other) => sign * compared[by](one, other) || compared.project(one, other));
    filter();
  };

  const turn = (pages) => {
    page += pages;
    show();
    table.focus();
    table.scrollIntoView();
  };

  for (const head of table.querySelectorAll("[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head.dataset.sort));
    head.append(button);
  }
  for (const input of inputs) input.addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  addEventListener("pageshow", filter); // by then a browser that came back has put in what was asked for before
  byId("filters").hidden = false;
  byId("unscripted").hidden = true;
  filter();
})();
