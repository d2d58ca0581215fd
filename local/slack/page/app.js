// The page: fetches what the person sees, draws what changed, sends what the person does.
import { renderBlocks } from "./blocks.js";
import { person, send } from "./client.js";
import { confirmed, showView } from "./dialogs.js";
import { emoji } from "./emoji.js";
import { element, link, mrkdwn } from "./mrkdwn.js";

const byId = (id) => document.getElementById(id);
const address = new URL(location.href);
const [, channelInPath, messageInPath] = address.pathname.match(/^\/archives\/([^/]+)(?:\/p(\d+))?/) ?? [];

const page = {
  channel: channelInPath ?? "C0INCIDENTS",
  thread: address.searchParams.get("thread_ts"),
  // "1405894322002768" in a permalink is the message 1405894322.002768.
  target: messageInPath ? `${messageInPath.slice(0, -6)}.${messageInPath.slice(-6)}` : null,
  state: null,
  // Buttons at work and clicks that failed, by channel and ts of the message.
  busy: new Map(),
  problems: new Map(),
};

// -- talking to the server

// One at a time, so that an older answer never overwrites a newer one; changes meanwhile lead to another round.
let refreshing = null;
let changedMeanwhile = false;

function refresh() {
  changedMeanwhile = true;
  refreshing ??= (async () => {
    while (changedMeanwhile) {
      changedMeanwhile = false;
      await fetchState();
    }
    refreshing = null;
  })();
  return refreshing;
}

async function fetchState() {
  const response = await fetch(`/_page/state?user=${encodeURIComponent(person.id)}`);
  if (response.ok) {
    page.state = await response.json();
    draw();
  } else if (person.id !== "U0000ONCALL") {
    become("U0000ONCALL");
  }
}

function follow() {
  const events = new EventSource("/_page/events");
  events.onopen = () => (byId("offline").hidden = true);
  events.onerror = () => (byId("offline").hidden = false);
  events.onmessage = refresh;
  // The browser keeps pages that people leave, to show them again at once ("back/forward cache"). Each would keep its
  // stream as well, and browsers open six connections to a server: after a few pages none is left for the next one.
  addEventListener("pagehide", () => events.close(), { once: true });
}

// -- drawing

function draw() {
  const { state } = page;
  const channel = state.channels.find((each) => each.id === page.channel) ?? state.channels[0];
  page.channel = channel.id;
  document.title = `#${channel.name} – ${state.team}`;
  byId("team").textContent = state.team;
  byId("channel-name").textContent = `# ${channel.name}`;
  byId("channel-topic").textContent = channel.topic;
  byId("composer-text").placeholder = `Message #${channel.name}`;
  byId("composer-text").setAttribute("aria-label", `Message #${channel.name}`);
  drawChannels();
  drawPeople();
  const here = state.messages.filter((each) => each.channel === page.channel);
  drawMessages(byId("messages"), here.filter((each) => !isReply(each) || each.broadcast));
  byId("empty").hidden = here.length > 0;
  byId("messages").hidden = here.length === 0;
  byId("thread").hidden = page.thread === null;
  if (page.thread !== null) {
    drawMessages(byId("thread-messages"), here.filter((each) => [each.ts, each.thread_ts].includes(page.thread)));
  }
  showView(state.views.at(-1), drawingContext(null));
  showTarget();
}

function isReply(message) {
  return message.thread_ts !== null && message.thread_ts !== message.ts;
}

function drawChannels() {
  const items = page.state.channels.map((channel) => {
    const current = channel.id === page.channel ? "page" : null;
    const node = element("a", { href: `/archives/${channel.id}`, "aria-current": current }, `# ${channel.name}`);
    node.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(channel.id);
    });
    return element("li", {}, node);
  });
  byId("channels").replaceChildren(...items);
}

function drawPeople() {
  const select = byId("me");
  if (select.options.length === 0) {
    const people = page.state.people.filter((each) => each.id !== page.state.bot);
    select.append(...people.map((each) => element("option", { value: each.id }, each.real_name)));
  }
  select.value = page.state.me;
}

// Draws anew only what differs, so that focus, selection and scrolling stay where they are.
function drawMessages(list, messages) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const known = new Map([...list.children].map((node) => [node.dataset.ts, node]));
  const nodes = messages.map((message) => {
    const signature = JSON.stringify([message, threadOf(message).length, page.busy.get(key(message)), page.problems.get(key(message))]);
    const old = known.get(message.ts);
    if (old?.signature === signature) return old;
    const node = messageNode(message);
    node.signature = signature;
    keepFocus(old, node);
    return node;
  });
  if (nodes.length === list.children.length && nodes.every((node, index) => node === list.children[index])) return;
  const focused = document.activeElement;
  list.replaceChildren(...nodes);
  if (list.contains(focused)) focused.focus();
  list.querySelector("[data-refocus]")?.focus();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function keepFocus(old, node) {
  const action = old?.contains(document.activeElement) && document.activeElement.dataset.actionId;
  if (action) node.querySelector(`[data-action-id="${CSS.escape(action)}"]`)?.setAttribute("data-refocus", "");
}

function key(message) {
  return `${message.channel}/${message.ts}`;
}

function threadOf(message) {
  return page.state.messages.filter((each) => each.channel === message.channel && each.thread_ts === message.ts && isReply(each));
}

function drawingContext(message) {
  const people = new Map(page.state.people.map((each) => [each.id, each.name]));
  const channels = new Map(page.state.channels.map((each) => [each.id, each.name]));
  return { names: { people, channels }, act: (block, item) => message && press(message, block, item) };
}

function messageNode(message) {
  const context = drawingContext(message);
  const author = page.state.people.find((each) => each.id === message.user);
  const isBot = message.user === page.state.bot;
  const body = message.blocks.length
    ? renderBlocks(message.blocks, context)
    : [textBody(message, context.names)];
  const problem = page.problems.get(key(message));
  const busy = page.busy.get(key(message));
  const node = element(
    "li",
    { class: message.ephemeral ? "message ephemeral" : "message", "data-ts": message.ts, "aria-label": `Message of ${author.name}` },
    element("div", { class: isBot ? "avatar app" : "avatar", "aria-hidden": "true" }, initials(author.real_name)),
    element("div", { class: "content" }, byline(message, author, isBot), broadcastNote(message), ...body, replies(message),
      problem && element("p", { class: "problem", role: "alert" }, `${emoji("warning")} ${problem}`)),
  );
  if (busy) node.querySelector(`[data-action-id="${CSS.escape(busy)}"]`)?.setAttribute("aria-busy", "true");
  return node;
}

function initials(name) {
  return name.split(/[\s-]+/).map((word) => word[0]).join("").slice(0, 2).toUpperCase();
}

function byline(message, author, isBot) {
  const when = new Date(Number(message.ts) * 1000);
  const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(when);
  const stamp = element("time", { datetime: when.toISOString(), title: when.toLocaleString() }, time);
  return element(
    "div",
    { class: "byline" },
    element("span", { class: "author" }, isBot ? author.real_name : author.name),
    isBot && element("span", { class: "badge" }, "APP"),
    element("a", { class: "stamp", href: message.permalink, "aria-label": `Link to this message, ${time}` }, stamp),
    message.ephemeral ? element("span", { class: "only-you" }, "Only visible to you") : null,
  );
}

// A reply that is shown in the channel as well says what it replies to.
function broadcastNote(message) {
  if (!message.broadcast) return null;
  const node = element("button", { type: "button", class: "replies" }, "replied to a thread");
  node.addEventListener("click", () => openThread(message.thread_ts));
  return node;
}

function textBody(message, names) {
  const node = element("div", { class: "text" }, mrkdwn(message.text, names));
  if (message.edited) (node.lastElementChild ?? node).append(" ", element("span", { class: "edited" }, "(edited)"));
  return node;
}

function replies(message) {
  const count = threadOf(message).length;
  if (count === 0) return null;
  const node = element("button", { type: "button", class: "replies" }, count === 1 ? "1 reply" : `${count} replies`);
  node.addEventListener("click", () => openThread(message.ts));
  return node;
}

// A permalink scrolls to its message and marks it, once.
function showTarget() {
  const node = page.target && document.querySelector(`[data-ts="${CSS.escape(page.target)}"]`);
  if (!node) return;
  page.target = null;
  node.classList.add("highlight");
  node.scrollIntoView({ block: "center" });
}

// -- what the person does

async function press(message, block, item) {
  if (page.busy.has(key(message)) || (item.confirm && !(await confirmed(item.confirm, drawingContext(null).names)))) return;
  page.problems.delete(key(message));
  page.busy.set(key(message), item.action_id);
  draw();
  const place = { channel: message.channel, ts: message.ts, block_id: block.block_id, action_id: item.action_id };
  const { problem } = await send("click", place);
  page.busy.delete(key(message));
  if (problem) page.problems.set(key(message), problem);
  await refresh();
}

function goTo(channel) {
  page.channel = channel;
  page.thread = null;
  history.pushState(null, "", `/archives/${channel}?user=${person.id}`);
  draw();
}

function openThread(ts) {
  page.thread = ts;
  draw();
}

function become(user) {
  person.id = user;
  sessionStorage.setItem("me", user);
  page.problems.clear();
  refresh();
}

function sayOnSubmit(form, place) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = form.elements.text;
    if (!field.value.trim()) return;
    await send("say", { text: field.value, ...place() });
    field.value = "";
  });
}

byId("me").addEventListener("change", (event) => become(event.target.value));
byId("thread-close").addEventListener("click", () => {
  page.thread = null;
  draw();
});
addEventListener("popstate", () => location.reload());
sayOnSubmit(byId("composer"), () => ({ channel: page.channel }));
sayOnSubmit(byId("thread-composer"), () => ({ channel: page.channel, thread_ts: page.thread }));
follow();
// Shown again out of the cache: what changed meanwhile comes with the first event.
addEventListener("pageshow", (event) => event.persisted && follow());
