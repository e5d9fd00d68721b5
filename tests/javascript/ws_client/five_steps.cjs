// A client that knows only the wire's fixed part: five steps, integer ids, nothing of ours.
// node five_steps.cjs ADDRESS prints what it heard, step by step, as one line of JSON.
const WebSocket = require("ws");

const CONVERSATION = 41;
const TASK = 5;
const PATIENCE_MS = 20_000;

const socket = new WebSocket(process.argv[2]);
const heard = [];
const waiting = [];

socket.on("message", (frame) => {
  const message = JSON.parse(frame.toString());
  heard.push(message);
  for (const one of [...waiting]) one(message);
});

/** Send, and give everything up to the message that ends the step. */
function step(message, isLast) {
  const began = heard.length;
  return new Promise((resolve) => {
    const look = (next) => {
      if (!isLast(next)) return;
      waiting.splice(waiting.indexOf(look), 1);
      resolve(heard.slice(began));
    };
    waiting.push(look);
    socket.send(JSON.stringify(message));
  });
}

async function talk() {
  const ofType = (type) => (message) => message.type === type;
  return {
    ping: await step({ type: "ping" }, ofType("pong")),
    monitoring: await step({ type: "monitoring:subscribe" }, ofType("metrics")),
    history: await step({ type: "chat:history", data: { conversationId: CONVERSATION, limit: 20 } }, ofType("chat:history")),
    send: await step(
      { type: "chat:send", data: { message: "Hello", conversationId: CONVERSATION } },
      (message) => message.type === "chat:message" && message.data.role === "assistant",
    ),
    task: await step({ type: "task:subscribe", data: { taskId: TASK } }, ofType("task:subscribed")),
  };
}

setTimeout(() => {
  console.error("still waiting after", JSON.stringify(heard.slice(-3)));
  process.exit(1);
}, PATIENCE_MS).unref();
socket.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on("open", async () => {
  console.log(JSON.stringify(await talk()));
  socket.close();
});
