/**
 * Things that look like a secret are left out of an import, since memory travels to other machines. These catch
 * what tools really mint (a fixed prefix and a long tail) and plain `password: …` lines; they are a seat belt, not
 * a scanner. Only the line is reported, never the match.
 */
const SECRET_TEXT: readonly { readonly kind: string; readonly pattern: RegExp }[] = [
  { kind: 'a private key', pattern: /-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----/ },
  { kind: 'an age secret key', pattern: /\bAGE-SECRET-KEY-1[A-Z0-9]{20,}/ },
  { kind: 'an AWS access key', pattern: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/ },
  { kind: 'a GitHub token', pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})/ },
  { kind: 'a GitLab token', pattern: /\bglpat-[A-Za-z0-9_-]{20,}/ },
  { kind: 'an API key', pattern: /\bsk-(?:ant-|proj-|live-)?[A-Za-z0-9_-]{24,}/ },
  { kind: 'a payment key', pattern: /\b[sr]k_live_[A-Za-z0-9]{16,}/ },
  { kind: 'a Slack token', pattern: /\bxox[abeprs]-[A-Za-z0-9-]{10,}/ },
  { kind: 'a Google API key', pattern: /\bAIza[A-Za-z0-9_-]{35}/ },
  { kind: 'an npm token', pattern: /\bnpm_[A-Za-z0-9]{30,}/ },
  { kind: 'a signed web token', pattern: /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/ },
  {
    kind: 'a password in an address',
    pattern: /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@<>{}$]{1,64}:[^\s/@<>{}$*]{3,128}@/,
  },
  {
    kind: 'a password',
    // A value of eight or more without blanks; `password: see the vault` and `<placeholder>` are not values.
    pattern:
      /\b(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?token|auth[_-]?token)\s*[:=]\s*["'`]?(?![<$*{])(?=\S*[0-9])[^\s"'`<>]{8,}/i,
  },
]

const SECRET_NAME =
  /^(?:\.?env(?:\..*)?|\.netrc|\.npmrc|\.pypirc|\.pgpass|id_(?:rsa|dsa|ecdsa|ed25519)(?:\..*)?|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|age|gpg|asc)|(?:credentials?|secrets?|passwords?|tokens?)(?:\..*)?)$/i

/** What kind of secret one line seems to hold; undefined for none. */
export function secretIn(line: string): string | undefined {
  return SECRET_TEXT.find(({ pattern }) => pattern.test(line))?.kind
}

export const isSecretName = (fileName: string): boolean => SECRET_NAME.test(fileName)
