// The official server of the protocol, unmodified, on a port of the system's choosing.
import { SimpleServer } from "loro-websocket/server";

const server = new SimpleServer({ port: 0, host: "127.0.0.1" });
await server.start();
console.log(server.wss.address().port);
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
