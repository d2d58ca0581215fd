// Block Kit as DOM nodes. `context` is {names, act(block, element)}.
import { withEmoji } from "./emoji.js";
import { element, link, mrkdwn } from "./mrkdwn.js";

export function renderBlocks(blocks, context) {
  return blocks.map((block) => RENDERERS[block.type](block, context));
}

export function textObject(object, names) {
  return object.type === "mrkdwn" ? mrkdwn(object.text, names) : document.createTextNode(withEmoji(object.text));
}

const RENDERERS = {
  header: (block) => element("h3", { class: "block-header" }, withEmoji(block.text.text)),
  divider: () => element("hr", { class: "block-divider" }),
  section,
  context: contextBlock,
  actions: (block, context) =>
    element("div", { class: "block-actions" }, ...block.elements.map((each) => button(block, each, context))),
  image: (block) =>
    element("figure", { class: "block-image" }, block.title && element("figcaption", {}, withEmoji(block.title.text)), image(block)),
  input,
};

function section(block, context) {
  const { names } = context;
  const main = element("div", { class: "section-main" });
  if (block.text) main.append(element("div", { class: "text" }, textObject(block.text, names)));
  if (block.fields) {
    const fields = block.fields.map((field) => element("div", { class: "text field" }, textObject(field, names)));
    main.append(element("div", { class: "fields" }, ...fields));
  }
  return element("div", { class: "block-section" }, main, block.accessory && accessory(block, context));
}

function accessory(block, context) {
  const content = block.accessory.type === "button" ? button(block, block.accessory, context) : image(block.accessory);
  return element("div", { class: "accessory" }, content);
}

function contextBlock(block, { names }) {
  const parts = block.elements.map((each) =>
    each.type === "image" ? image(each) : element("span", { class: "text" }, textObject(each, names)),
  );
  return element("div", { class: "block-context" }, ...parts);
}

// Pictures from elsewhere are not loaded (the page talks to its own server only): the description stands for them.
function image({ alt_text: alt, image_url: url }) {
  return link(url, `[${alt}]`);
}

function button(block, item, { act }) {
  const style = item.style ? ` ${item.style}` : "";
  const attributes = { class: `button${style}`, "aria-label": item.accessibility_label, "data-action-id": item.action_id };
  const label = withEmoji(item.text.text);
  const node = item.url
    ? element("a", { ...attributes, role: "button", href: item.url, target: "_blank", rel: "noopener noreferrer" }, label)
    : element("button", { ...attributes, type: "button" }, label);
  node.addEventListener("click", () => act(block, item));
  return node;
}

// -- inputs of modals

function input(block, { names }) {
  const id = `input-${block.block_id}`;
  const optional = block.optional ? element("span", { class: "optional" }, " (optional)") : null;
  const isGroup = ["checkboxes", "radio_buttons"].includes(block.element.type);
  const label = element(isGroup ? "legend" : "label", isGroup ? {} : { for: id }, withEmoji(block.label.text), optional);
  return element(
    isGroup ? "fieldset" : "div",
    { class: "block-input", "data-block-id": block.block_id },
    label,
    CONTROLS[block.element.type](block.element, id, names),
    block.hint && element("p", { class: "hint" }, withEmoji(block.hint.text)),
    element("p", { class: "problem", role: "alert", hidden: true }),
  );
}

const CONTROLS = {
  plain_text_input: (item, id) => {
    const tag = item.multiline ? "textarea" : "input";
    const { min_length: minlength, max_length: maxlength } = item;
    const node = element(tag, { id, minlength, maxlength, placeholder: item.placeholder?.text, autocomplete: "off" });
    node.value = item.initial_value ?? "";
    return node;
  },
  static_select: (item, id) => {
    const empty = element("option", { value: "" }, item.placeholder?.text ?? "Choose…");
    const options = item.options.map((each) => element("option", { value: each.value }, withEmoji(each.text.text)));
    const node = element("select", { id }, empty, ...options);
    node.value = item.initial_option?.value ?? "";
    return node;
  },
  checkboxes: (item, id, names) => choices(item, "checkbox", id, item.initial_options ?? [], names),
  radio_buttons: (item, id, names) => choices(item, "radio", id, [item.initial_option].filter(Boolean), names),
};

function choices(item, type, name, chosen, names) {
  const values = chosen.map((each) => each.value);
  const rows = item.options.map((each) => {
    const box = element("input", { type, name, value: each.value, checked: values.includes(each.value) });
    return element("label", { class: "choice" }, box, element("span", {}, textObject(each.text, names)));
  });
  return element("div", { class: "choices" }, ...rows);
}

// The `state.values` of a view: {block_id: {action_id: {type, value | selected_option(s)}}}.
export function inputValues(blocks, container) {
  const values = {};
  for (const block of blocks.filter((each) => each.type === "input")) {
    const field = container.querySelector(`[data-block-id="${CSS.escape(block.block_id)}"]`);
    const { type, action_id: actionId } = block.element;
    values[block.block_id] = { [actionId]: { type, ...READERS[type](block.element, field) } };
  }
  return values;
}

const READERS = {
  plain_text_input: (_item, field) => ({ value: field.querySelector("input, textarea").value || null }),
  static_select: (item, field) => ({ selected_option: option(item, field.querySelector("select").value) }),
  checkboxes: (item, field) => ({ selected_options: checked(field).map((value) => option(item, value)) }),
  radio_buttons: (item, field) => ({ selected_option: option(item, checked(field)[0]) }),
};

function checked(field) {
  return [...field.querySelectorAll("input:checked")].map((box) => box.value);
}

function option(item, value) {
  return item.options.find((each) => each.value === value) ?? null;
}
