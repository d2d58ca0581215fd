// Slack's mrkdwn (https://docs.slack.dev/messaging/formatting-message-text) as DOM nodes. Only nodes are made, never
// HTML, so whatever a text holds, it stays text.
import { emoji } from "./emoji.js";

// Emphasis counts only at word boundaries: `a*b*c` and snake_case_names stay as they are.
const EDGE_BEFORE = "(?<![\\p{L}\\p{N}_*~`])";
const EDGE_AFTER = "(?![\\p{L}\\p{N}_*~`])";
const INLINE = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "<(?<angle>[^<>\\n]+)>",
    ":(?<emoji>[a-z0-9_+-]+):",
    `${EDGE_BEFORE}\\*(?<bold>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*${EDGE_AFTER}`,
    `${EDGE_BEFORE}_(?<italic>[^\\s_](?:[^_\\n]*[^\\s_])?)_${EDGE_AFTER}`,
    `${EDGE_BEFORE}~(?<strike>[^\\s~](?:[^~\\n]*[^\\s~])?)~${EDGE_AFTER}`,
  ].join("|"),
  "u",
);
const EMPHASIS = { bold: "strong", italic: "em", strike: "s" };
const QUOTE = /^(?:&gt;|>) ?/;
const BULLET = /^\s*[•◦▪‣-] +/;

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// The only entities that Slack knows.
export function unescape(text) {
  return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

// `names` gives the names behind ids: {people: Map, channels: Map}.
export function mrkdwn(text, names) {
  const fragment = document.createDocumentFragment();
  text.split("```").forEach((part, index, all) => {
    const isCode = index % 2 === 1 && index < all.length - 1;
    if (isCode) fragment.append(element("pre", {}, unescape(part.replace(/^\n|\n$/g, ""))));
    else fragment.append(lines(index % 2 === 1 ? "```" + part : trimAround(part, index, all.length), names));
  });
  return fragment;
}

// A code block stands on lines of its own; the newlines beside it would be shown as empty lines.
function trimAround(part, index, count) {
  const start = index > 0 ? part.replace(/^\n/, "") : part;
  return index < count - 1 ? start.replace(/\n$/, "") : start;
}

function lines(text, names) {
  const fragment = document.createDocumentFragment();
  let paragraph = null;
  let quote = null;
  for (const line of text === "" ? [] : text.split("\n")) {
    if (QUOTE.test(line)) {
      if (!quote) fragment.append((quote = element("blockquote")));
      else quote.append("\n");
      quote.append(inline(line.replace(QUOTE, ""), names));
      paragraph = null;
    } else if (BULLET.test(line)) {
      const [bullet] = line.match(BULLET);
      const mark = element("span", { class: "bullet", "aria-hidden": "true" }, bullet.trim());
      fragment.append(element("div", { class: "item" }, mark, element("div", {}, inline(line.slice(bullet.length), names))));
      paragraph = quote = null;
    } else {
      if (!paragraph) fragment.append((paragraph = element("div", { class: "paragraph" })));
      else paragraph.append("\n");
      paragraph.append(inline(line, names));
      quote = null;
    }
  }
  return fragment;
}

function inline(text, names) {
  const fragment = document.createDocumentFragment();
  let rest = text;
  for (let match = INLINE.exec(rest); match; match = INLINE.exec(rest)) {
    fragment.append(unescape(rest.slice(0, match.index)), span(match, names));
    rest = rest.slice(match.index + match[0].length);
  }
  fragment.append(unescape(rest));
  return fragment;
}

function span(match, names) {
  const { code, angle, emoji: shortcode } = match.groups;
  if (code !== undefined) return element("code", {}, unescape(code));
  if (angle !== undefined) return reference(angle, names) ?? unescape(match[0]);
  if (shortcode !== undefined) return emojiNode(shortcode) ?? match[0];
  const [kind, tag] = Object.entries(EMPHASIS).find(([name]) => match.groups[name] !== undefined);
  return element(tag, {}, inline(match.groups[kind], names));
}

function emojiNode(shortcode) {
  const found = emoji(shortcode);
  return found && element("span", { class: "emoji", role: "img", "aria-label": shortcode.replaceAll("_", " ") }, found);
}

// What stands in angle brackets: a link, a person, a channel, a group, a date. Null when it is none of these.
function reference(angle, names) {
  const [target, label] = angle.split(/\|(.*)/s);
  if (/^(https?:\/\/|mailto:)/.test(target)) return link(unescape(target), unescape(label ?? target));
  if (target.startsWith("@")) return mention(`@${names.people.get(target.slice(1)) ?? label ?? target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${names.channels.get(target.slice(1)) ?? label ?? target.slice(1)}`);
  if (target.startsWith("!date^")) return date(target, label ?? "");
  if (target.startsWith("!subteam^")) return mention(label ?? "@group");
  if (/^!(here|channel|everyone)$/.test(target)) return mention(`@${target.slice(1)}`);
  return null;
}

export function link(href, ...content) {
  return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...content);
}

function mention(text) {
  return element("span", { class: "mention" }, text);
}

// <!date^1392734382^{date_short} at {time}^https://link|fallback>
function date(target, fallback) {
  const [, seconds, format] = target.split("^");
  const when = new Date(Number(seconds) * 1000);
  if (!format || Number.isNaN(when.getTime())) return document.createTextNode(fallback);
  const options = {
    date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
    date: { dateStyle: "long" },
    date_short: { dateStyle: "medium" },
    date_long: { dateStyle: "full" },
    time: { timeStyle: "short" },
    time_secs: { timeStyle: "medium" },
  };
  const text = format.replace(/\{(\w+?)(?:_pretty)?\}/g, (whole, token) =>
    options[token] ? new Intl.DateTimeFormat(undefined, options[token]).format(when) : whole,
  );
  return element("time", { datetime: when.toISOString() }, text);
}
