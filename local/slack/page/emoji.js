// Slack's shortcodes that operators' messages use. An unknown one stays as it was written.
const EMOJI = {
  "+1": "👍", "-1": "👎", alarm_clock: "⏰", arrow_down: "⬇️", arrow_right: "➡️", arrow_up: "⬆️",
  arrows_counterclockwise: "🔄", ballot_box_with_check: "☑️", bar_chart: "📊", bell: "🔔", black_circle: "⚫",
  black_small_square: "▪️", bookmark: "🔖", boom: "💥", broom: "🧹", bug: "🐛", bulb: "💡",
  bust_in_silhouette: "👤", calendar: "📅", chart_with_downwards_trend: "📉", chart_with_upwards_trend: "📈",
  clipboard: "📋", clock1: "🕐", clock3: "🕒", cloud: "☁️", construction: "🚧", crossed_swords: "⚔️", dart: "🎯",
  desktop_computer: "🖥️", electric_plug: "🔌", exclamation: "❗", eyes: "👀", fast_forward: "⏩", fire: "🔥",
  gear: "⚙️", globe_with_meridians: "🌐", green_heart: "💚", grey_exclamation: "❕", grey_question: "❔",
  hammer_and_wrench: "🛠️", heavy_check_mark: "✔️", heavy_minus_sign: "➖", heavy_multiplication_x: "✖️",
  heavy_plus_sign: "➕", hourglass: "⌛", hourglass_flowing_sand: "⏳", information_source: "ℹ️", key: "🔑",
  label: "🏷️", large_blue_circle: "🔵", large_green_circle: "🟢", large_green_square: "🟩", large_orange_circle: "🟠",
  large_red_square: "🟥", large_yellow_circle: "🟡", leftwards_arrow_with_hook: "↩️", link: "🔗", lock: "🔒",
  loudspeaker: "📢", mag: "🔍", mag_right: "🔎", mega: "📣", memo: "📝", money_with_wings: "💸", moneybag: "💰",
  negative_squared_cross_mark: "❎", no_entry: "⛔", no_entry_sign: "🚫", ok: "🆗", ok_hand: "👌", package: "📦",
  page_facing_up: "📄", paperclip: "📎", pause_button: "⏸️", pushpin: "📌", question: "❓", radio_button: "🔘",
  raised_hand: "✋", recycle: "♻️", red_circle: "🔴", repeat: "🔁", rewind: "⏪", robot_face: "🤖", rocket: "🚀",
  rotating_light: "🚨", scales: "⚖️", scissors: "✂️", scroll: "📜", shield: "🛡️", skull: "💀", small_blue_diamond: "🔹",
  small_orange_diamond: "🔸", sos: "🆘", sparkles: "✨", speech_balloon: "💬", stopwatch: "⏱️", tada: "🎉",
  thumbsdown: "👎", thumbsup: "👍", timer_clock: "⏲️", triangular_flag_on_post: "🚩", unlock: "🔓", warning: "⚠️",
  wastebasket: "🗑️", wave: "👋", white_check_mark: "✅", white_circle: "⚪", white_large_square: "⬜",
  white_small_square: "▫️", wrench: "🔧", x: "❌", zap: "⚡", zzz: "💤",
};

// What stands for the marks that carry meaning where no font draws emoji. The others stay shortcodes, as in Slack's text.
const PLAIN = {
  alarm_clock: "(!)", heavy_check_mark: "[ok]", heavy_minus_sign: "[-]", hourglass_flowing_sand: "[..]", mag: "[?]",
  large_blue_circle: "(i)", large_orange_circle: "(!)", leftwards_arrow_with_hook: "[<]", no_entry: "[x]",
  information_source: "(i)", no_entry_sign: "[x]", raised_hand: "[?]", red_circle: "(!!)", rewind: "[<<]", rotating_light: "(!)",
  warning: "(!)", white_check_mark: "[ok]", white_small_square: "[ ]", x: "[x]",
};
// `?emoji=none` shows the page as on a machine without such a font.
const drawn = new URL(location.href).searchParams.get("emoji") !== "none" && drawsEmoji();

// An emoji looks different from a code point that no font has.
function drawsEmoji() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 24;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = (text) => {
    context.clearRect(0, 0, 24, 24);
    context.font = "16px sans-serif, 'Noto Color Emoji'";
    context.fillText(text, 2, 18);
    return context.getImageData(0, 0, 24, 24).data.join();
  };
  return pixels("\u{1F6A8}") !== pixels("\u{10FFFD}");
}

export function emoji(name) {
  if (!Object.hasOwn(EMOJI, name)) return null;
  return drawn ? EMOJI[name] : (PLAIN[name] ?? `:${name}:`);
}

export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => emoji(name) ?? whole);
}
