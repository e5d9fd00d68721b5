// Code into a new cell below the console: where the page is a notebook that lets a widget do it.

/** The shared model of the notebook around a widget; null in Voilà and other front ends. */
export function notebookAround(model) {
  const shared = model.widget_manager?.context?.model?.sharedModel;
  return typeof shared?.insertCell === "function" ? shared : null;
}

/** A new code cell below the one that shows `element`; at the end where that cannot be told. */
export function insertBelow(notebook, element, source) {
  const cell = element.closest(".jp-Cell");
  const told = Number(cell?.dataset.windowedListIndex ?? NaN);
  const counted = cell ? [...cell.parentElement.children].filter((one) => one.matches(".jp-Cell")).indexOf(cell) : -1;
  const place = Number.isInteger(told) ? told : counted;
  notebook.insertCell(place < 0 ? notebook.cells.length : place + 1, { cell_type: "code", source });
}
