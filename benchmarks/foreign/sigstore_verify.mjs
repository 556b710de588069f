// Whether @sigstore/verify accepts the envelopes of a kit: node sigstore_verify.mjs KIT.json
// It has to lie in (or below) a folder with node_modules: npm install @sigstore/verify @sigstore/bundle
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

const nothing = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const unwitnessed = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };

function accepts(found) {
  const envelope = JSON.parse(Buffer.from(found.envelope, "base64").toString("utf8"));
  const bundle = bundleFromJSON({
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: found.keyid }, tlogEntries: [] },
    dsseEnvelope: envelope,
  });
  const key = { publicKey: createPublicKey(found.pem), validFor: () => true };
  new Verifier(toTrustMaterial(nothing, () => key), unwitnessed).verify(toSignedEntity(bundle));
}

const verdicts = {};
for (const found of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  if (found.check !== "envelope") continue;
  try {
    accepts(found);
    verdicts[found.id] = true;
  } catch (error) {
    verdicts[found.id] = false;
    if (found.twin === "honest") console.error(found.id, error);
  }
}
console.log(JSON.stringify(verdicts));
