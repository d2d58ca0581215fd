// Calls to the workspace's server, in the name of the person who sits at the page. Each tab has its own person.
export const person = {
  id: new URL(location.href).searchParams.get("user") ?? sessionStorage.getItem("me") ?? "U0000ONCALL",
};
sessionStorage.setItem("me", person.id);

// The server's answer; a refusal or no answer comes back as {problem}.
export async function send(path, body) {
  try {
    const response = await fetch(`/_page/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user: person.id, ...body }),
    });
    const answer = await response.json();
    return response.ok ? answer : { problem: answer.error };
  } catch {
    return { problem: "The workspace's server does not answer." };
  }
}
