/** A self-signed certificate, written field by field (X.509 v3): Node has keys and signatures, and no certificates. */
import { generateKeyPairSync, sign } from "node:crypto";

const [INTEGER, BITS, OCTETS, OID, TEXT, TIME, SEQUENCE, SET] = [0x02, 0x03, 0x04, 0x06, 0x0c, 0x17, 0x30, 0x31];
const ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const [COMMON_NAME, ALTERNATIVE_NAMES] = [[0x55, 0x04, 0x03], [0x55, 0x1d, 0x11]];
const [VERSION, EXTENSIONS, DNS_NAME] = [0xa0, 0xa3, 0x82]; // context tags

/** A certificate for a host, good from yesterday to tomorrow, and its key: both as PEM. */
export function selfSigned(host: string): { fullchain: string; private_key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, der(OID, ECDSA_WITH_SHA256));
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, der(OID, COMMON_NAME), der(TEXT, Buffer.from(host)))));
  const names = der(SEQUENCE, der(DNS_NAME, Buffer.from(host)));
  const body = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, [2])),
    der(INTEGER, [1]),
    algorithm,
    name,
    der(SEQUENCE, der(TIME, day(-1)), der(TIME, day(1))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(EXTENSIONS, der(SEQUENCE, der(SEQUENCE, der(OID, ALTERNATIVE_NAMES), der(OCTETS, names)))),
  );
  const signature = der(BITS, [0], sign("sha256", body, privateKey));
  const base64 = der(SEQUENCE, body, algorithm, signature).toString("base64").replace(/.{64}/g, "$&\n");
  return {
    fullchain: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

/** One field: tag, length, content. */
function der(tag: number, ...parts: (Buffer | number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)));
  const short = content.length < 128;
  const size = Buffer.from(content.length.toString(16).padStart(4, "0"), "hex");
  return Buffer.concat([Buffer.from(short ? [tag, content.length] : [tag, 0x82]), short ? Buffer.alloc(0) : size, content]);
}

function day(offset: number): Buffer {
  const moment = new Date(Date.now() + offset * 86_400_000).toISOString();
  return Buffer.from(`${moment.slice(2, 19).replace(/[-T:]/g, "")}Z`);
}
