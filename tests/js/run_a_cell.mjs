// A peer of a notebook made of the official packages: it edits a cell, knows that the edit is
// durable, runs exactly that, and sees the outputs. `node run_a_cell.mjs OPTIONS`, where OPTIONS
// is {"http": URL, "token": ..., "path": the notebook's file} as JSON.
// Prints a report as JSON and ends with 0, or names what was wrong and ends with 1.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { UpdateStatusCode } from "loro-protocol";
import * as kit from "./peer_kit.mjs";

const options = JSON.parse(process.argv[2]);
const [WOMAN, MAN, MICROSCOPE, JOINER] = ["👩", "👨", "🔬", "\u200d"]; // 2, 2, 2 and 1 units
const SCIENTIST = WOMAN + JOINER + MICROSCOPE;
const ASTRONAUT = `👩🏽${JOINER}🚀`;

const opened = await kit.post(options, "open", { path: options.path });
const sync = `${options.http.replace("http", "ws")}/sync?token=${options.token}&kind=javascript`;
const { client, errors } = await kit.connect(sync);

// The cells that Python made are here, each with its source.
const notebook = await kit.join(client, opened.document);
const cellId = kit
  .cellIds(notebook.document)
  .find((id) => kit.sourceOf(notebook.document, id).toString().includes(SCIENTIST));
assert.ok(cellId, "the cell that Python made is in the document");
const source = kit.sourceOf(notebook.document, cellId);

// Between the units of one character there is no place for text; the engine says so.
const start = source.toString().indexOf(SCIENTIST);
assert.throws(() => source.insert(start + 1, "!"), /middle of the codepoint/);
assert.throws(() => source.delete(start + 3, 1), /middle of the codepoint/);
// Between the characters of a joined sequence there is.
source.insert(start + 3, MAN + JOINER);
source.delete(start, WOMAN.length);
source.insert(start, `${ASTRONAUT} `);
source.insert(source.length, `\nprint("𝒳" + "🇫🇷" * 2, "é\u0301")`);
notebook.document.commit();

const text = source.toString();
const heads = kit.headsOf(notebook.document);
const sha256 = createHash("sha256").update(text, "utf8").digest("hex");

const batches = await kit.acknowledged(opened.document);
assert.ok(batches.length > 0, "the edit was sent");
for (const batch of batches) assert.equal(batch.status, UpdateStatusCode.Ok, "the edit was taken");

// Others go on typing; what runs is what stood at these heads.
const executionId = randomUUID();
const beganMs = performance.now();
const accepted = await kit.post(options, "execute", {
  document: opened.document,
  cell_id: cellId,
  execution_id: executionId,
  required_heads: heads,
});
const acceptedMs = performance.now() - beganMs;
assert.equal(accepted.source_sha256, sha256, "the source that was accepted is this peer's text");

// The outputs arrive in the runtime document, before the status that ends the execution.
const runtime = await kit.join(client, opened.runtime);
const record = () => runtime.document.getMap("executions").get(executionId)?.toJSON();
const isTerminal = () => ["ok", "error", "cancelled", "lost"].includes(record()?.status);
await kit.until((look) => runtime.document.subscribe(look), isTerminal, "the execution's end");
const finishedMs = performance.now() - beganMs;
const { status, source_sha256, outputs, cell_id } = record();
assert.deepEqual({ status, source_sha256, cell_id }, { status: "ok", source_sha256: sha256, cell_id: cellId });
const printed = outputs.map((output) => output.text ?? "").join("");
assert.equal(printed, `${ASTRONAUT} ${JOINER}${MAN}${JOINER}${MICROSCOPE}\n𝒳🇫🇷🇫🇷 é\u0301\n`);

// What the machine did is the daemon's to write, and nobody else's.
const kernel = JSON.stringify(runtime.document.getMap("kernel").toJSON());
runtime.document.getMap("kernel").set("name", "somebody else's");
runtime.document.getMap("executions").delete(executionId);
runtime.document.commit();
const refused = await kit.acknowledged(opened.runtime);
assert.ok(refused.length > 0, "the write was sent");
for (const batch of refused) assert.equal(batch.status, UpdateStatusCode.PermissionDenied);
assert.equal(runtime.refusals.length, refused.length, "the adaptor was told");
assert.equal(runtime.refusals[0].reason, "permission_denied");
assert.deepEqual(notebook.refusals, []);
assert.deepEqual(errors, []);

client.destroy();
console.log(
  JSON.stringify({
    document: opened.document,
    cellId,
    executionId,
    text,
    sha256,
    heads,
    printed,
    kernel: JSON.parse(kernel),
    ackMs: Math.max(...batches.map((batch) => batch.tookMs)),
    acceptedMs,
    finishedMs,
  }),
);
