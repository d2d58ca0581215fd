// The confirmation of a button and the modals that an app opens.
import { inputValues, renderBlocks, textObject } from "./blocks.js";
import { emoji } from "./emoji.js";
import { send } from "./client.js";

const byId = (id) => document.getElementById(id);
let shown = null;

// Resolves to true when the person confirms, to false when they deny or press Escape.
export function confirmed(confirm, names) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = confirm.title.text;
  byId("confirm-text").replaceChildren(textObject(confirm.text, names));
  byId("confirm-deny").textContent = confirm.deny.text;
  byId("confirm-accept").textContent = confirm.confirm.text;
  byId("confirm-accept").className = `button ${confirm.style ?? "primary"}`;
  return new Promise((resolve) => {
    const finish = (answer) => {
      dialog.close();
      resolve(answer);
    };
    byId("confirm-deny").onclick = () => finish(false);
    byId("confirm-accept").onclick = () => finish(true);
    // Not `onclose`: that event comes later, and could meet a confirmation that was opened since.
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
  });
}

// Shows the topmost view; undefined closes the dialog. A view that did not change keeps what was typed into it.
export function showView(view, context) {
  const dialog = byId("view");
  if (view?.hash === shown?.hash) return;
  shown = view ?? null;
  if (!view) {
    dialog.close();
    return;
  }
  byId("view-title").textContent = view.title.text;
  byId("view-blocks").replaceChildren(...renderBlocks(view.blocks, context));
  byId("view-close").textContent = view.close?.text ?? "Close";
  byId("view-submit").textContent = view.submit?.text ?? "";
  byId("view-submit").hidden = !view.submit;
  byId("view-problem").hidden = true;
  if (!dialog.open) dialog.showModal();
}

function show(node, text) {
  node.textContent = text;
  node.hidden = false;
}

// Slack itself insists on fields that are not optional; the app checks the rest.
function missingInputs(values) {
  const empty = (answer) => Object.values(answer).every((each) => each === null || each.length === 0);
  return shown.blocks
    .filter((block) => block.type === "input" && !block.optional)
    .filter((block) => empty({ ...values[block.block_id][block.element.action_id], type: null }))
    .map((block) => [block.block_id, "Please complete this required field."]);
}

function showErrors(errors) {
  for (const field of byId("view-blocks").querySelectorAll("[data-block-id]")) {
    const text = errors[field.dataset.blockId];
    const note = field.querySelector(".problem");
    note.hidden = true;
    if (text) show(note, text);
  }
}

byId("view-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("view-problem").hidden = true;
  const values = inputValues(shown.blocks, byId("view-blocks"));
  const missing = Object.fromEntries(missingInputs(values));
  showErrors(missing);
  if (Object.keys(missing).length) return;
  const { problem, errors } = await send("submit", { view_id: shown.id, values });
  showErrors(errors ?? {});
  if (problem) show(byId("view-problem"), `${emoji("warning")} ${problem}`);
});

function closeView() {
  if (shown) send("close", { view_id: shown.id });
}

byId("view-close").addEventListener("click", closeView);
byId("view").addEventListener("cancel", (event) => {
  event.preventDefault();
  closeView();
});
