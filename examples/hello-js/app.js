// The JavaScript of the web, and nothing of lath: a listener for `fetch` answers each request.

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

const PAGES = {
  "/": () => new Response("hello\n"),

  "/greet": async (request) => {
    const { name } = await request.json();
    return Response.json({ greeting: `hello ${name}` }, { status: 201, headers: { "x-greeted": name } });
  },

  "/echo": (request) => new Response(request.body, { headers: { "x-method": request.method } }),

  "/later": async () => {
    await new Promise((done) => setTimeout(done, 20));
    return new Response("20 ms later\n");
  },

  "/ask": async (request) => {
    const answer = await fetch(new URL(request.url).searchParams.get("url"), {
      headers: { "x-asked-by": "hello-js" },
    });
    return new Response(answer.body, { status: answer.status });
  },

  "/throw": () => {
    throw new Error("oh no");
  },
};

async function answer(request) {
  const page = PAGES[new URL(request.url).pathname];
  return page ? page(request) : new Response("no such page\n", { status: 404 });
}
