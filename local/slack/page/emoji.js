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

export function emoji(name) {
  return Object.hasOwn(EMOJI, name) ? EMOJI[name] : null;
}

export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => emoji(name) ?? whole);
}
