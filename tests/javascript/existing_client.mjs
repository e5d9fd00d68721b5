// The existing platform's way of speaking: only the wire's fixed rows, nothing newer.
// `talk(meshAddress, hubAddress, taskId, units)` resolves to what it heard.

const seconds = (count) => count * 1000;

function open(address) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address);
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error("refused"));
    setTimeout(() => reject(new Error("no answer")), seconds(10));
  });
}

function until(socket, stop) {
  return new Promise((resolve, reject) => {
    const heard = [];
    const timer = setTimeout(() => reject(new Error("still waiting: " + JSON.stringify(heard))), seconds(40));
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "heartbeat") socket.send(JSON.stringify({ type: "heartbeat-response" }));
      heard.push(message);
      if (stop(message, heard)) {
        clearTimeout(timer);
        resolve(heard);
      }
    };
  });
}

async function runTask(address, task, cancel) {
  const socket = await open(address);
  const ended = until(socket, (message) => {
    if (cancel && message.type === "taskProgress" && message.progress > 0) {
      cancel = false;
      socket.send(JSON.stringify({ type: "cancelTask", taskId: task.taskId, timestamp: Date.now() }));
    }
    return message.type === "taskResult" || (message.type === "error" && message.taskId === task.taskId);
  });
  socket.send(JSON.stringify({ type: "task", timestamp: Date.now(), ...task }));
  const heard = await ended;
  socket.close();
  return heard;
}

async function followHub(address, taskId) {
  const socket = await open(address);
  const ended = until(socket, (_, heard) =>
    ["pong", "monitoring:subscribed", "metrics", "task:subscribed", "task:update"].every((type) =>
      heard.some((message) => message.type === type),
    ),
  );
  for (const message of [
    { type: "ping" },
    { type: "monitoring:subscribe" },
    { type: "task:subscribe", data: { taskId } },
  ]) {
    socket.send(JSON.stringify(message));
  }
  const heard = await ended;
  socket.send(JSON.stringify({ type: "monitoring:unsubscribe" }));
  socket.close();
  return heard;
}

export async function talk(meshAddress, hubAddress, taskId, units) {
  const task = {
    model: "steady",
    inputDataURL: "batch.bin",
    returnLogs: true,
    parameters: { units, unit_s: 0.02 },
  };
  const done = await runTask(meshAddress, { ...task, taskId }, false);
  const cancelled = await runTask(
    meshAddress,
    { ...task, taskId: taskId + "-cancelled", parameters: { units: 2000, unit_s: 0.02 } },
    true,
  );
  const refused = await runTask(meshAddress, { ...task, taskId: taskId + "-bad", model: "nonsense" }, false);
  const hub = await followHub(hubAddress, taskId);
  return { done, cancelled, refused, hub };
}
