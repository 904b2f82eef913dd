import { isSecretName, secretIn } from '../../import/secret.ts'
import { FILE_BYTES_MAX } from './limits.ts'
import { nameOf } from './names.ts'

/**
 * What is carried in neither direction unless a person names that very path on this machine. A folder that another
 * machine can write to is a way to run code here: what programs execute or obey as settings stays out, and so do
 * secrets, which would travel.
 */
export type Refusal =
  | 'EXECUTABLE'
  | 'HOOK'
  | 'SETTINGS'
  | 'SECRET'
  | 'TOO_LARGE'
  | 'LINK'
  | 'NOT_A_FILE'
  | 'NAME'
  | 'CASE'
  | 'FOLDER_FULL'
  | 'DAMAGED'

/** Whether naming the path lets it through. The others cannot be carried at all. */
export const isAllowable = (refusal: Refusal): boolean =>
  refusal === 'EXECUTABLE' || refusal === 'HOOK' || refusal === 'SETTINGS' || refusal === 'SECRET'

/** Whether it depends on other files, and so may end without this one changing. */
export const isPassing = ({ refusal }: Refused): boolean => refusal === 'CASE' || refusal === 'FOLDER_FULL'

export interface Refused {
  readonly refusal: Refusal
  /** Words of ours: never what the file holds. */
  readonly because: string
}

/** Started by a click, or read by a shell at login. */
const RUNNABLE_NAME =
  /\.(?:exe|dll|com|scr|bat|cmd|ps1|psm1|vbs|vbe|wsf|wsh|hta|msi|msc|lnk|url|pif|cpl|reg|jar|app|command|desktop|so|dylib|sh|bash|zsh|fish|ksh|csh)$/i
const HOOK_PATH =
  /(?:^|\/)(?:hooks?|\.githooks|\.husky|\.git|\.hg|\.svn)(?:\/|$)|(?:^|\/)hooks?\.(?:jsonc?|toml|ya?ml)$/i
const SETTINGS_NAME =
  /^(?:\.?mcp\.jsonc?|settings(?:\.[a-z0-9_-]+)?\.(?:jsonc?|toml|ya?ml)|config\.toml|\.claude\.json|\.?envrc|\.(?:bash|zsh|k?sh|csh|tcsh|fish)(?:rc|env|_profile|_login|_logout|_history)?|\.profile|\.zprofile|\.zlogin|\.inputrc|\.vimrc|\.exrc|\.gitconfig|\.gitmodules|\.gitattributes|\.tmux\.conf|\.editorconfig|\.pre-commit-config\.yaml|authorized_keys|crontab)$/i
/** Folders whose files a program obeys: commands, agents and skills too, since a harness runs what they say. */
const SETTINGS_PATH =
  /(?:^|\/)(?:\.vscode|\.idea|\.cursor|\.zed|\.ssh|\.gnupg|\.aws|\.kube|\.docker|\.config|\.codex|\.gemini)\/|(?:^|\/)\.claude\/(?:settings|hooks|commands|agents|skills|plugins|output-styles)|(?:^|\/)\.github\/(?:workflows|actions)\//i

/** By its name alone, before a byte is read. */
export function refusedByName(path: string): Refused | undefined {
  const name = nameOf(path)
  if (HOOK_PATH.test(path)) return { refusal: 'HOOK', because: 'hooks are run by other programs' }
  if (SETTINGS_NAME.test(name) || SETTINGS_PATH.test(path))
    return { refusal: 'SETTINGS', because: 'a settings file: programs obey it' }
  if (path.split('/').some((each) => isSecretName(each)) && !/\.mdx?$|\.txt$/i.test(name))
    return { refusal: 'SECRET', because: 'its name is that of a key, a token or an environment file' }
  if (RUNNABLE_NAME.test(name)) return { refusal: 'EXECUTABLE', because: 'its name is that of a program' }
  return undefined
}

/** By what is in it. `text` when it is one. */
export function refusedByContent(
  bytes: Uint8Array,
  text: string | undefined,
  executable: boolean,
): Refused | undefined {
  if (bytes.length > FILE_BYTES_MAX)
    return { refusal: 'TOO_LARGE', because: `larger than ${FILE_BYTES_MAX / 1_048_576} MiB` }
  if (executable) return { refusal: 'EXECUTABLE', because: 'its mode says that it is a program' }
  const magic = programIn(bytes)
  if (magic !== undefined) return { refusal: 'EXECUTABLE', because: magic }
  const secret = secretOf(text ?? latin1(bytes.subarray(0, SECRET_SEARCH_BYTES)))
  return secret === undefined
    ? undefined
    : { refusal: 'SECRET', because: `line ${secret.line} looks like ${secret.kind}` }
}

/** Of what is no text: keys stand at the beginning. */
const SECRET_SEARCH_BYTES = 65_536
/** Nobody's line of prose, and patterns take their time on such. */
const LINE_CHARACTERS_MAX = 4_000

function secretOf(text: string): { kind: string; line: number } | undefined {
  let line = 0
  for (const words of text.split('\n')) {
    line += 1
    for (let at = 0; at < words.length; at += LINE_CHARACTERS_MAX / 2) {
      const kind = secretIn(words.slice(at, at + LINE_CHARACTERS_MAX))
      if (kind !== undefined) return { kind, line }
      if (at + LINE_CHARACTERS_MAX >= words.length) break
    }
  }
  return undefined
}

function programIn(bytes: Uint8Array): string | undefined {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  if (a === 0x23 && b === 0x21) return 'it begins with #!, as a script does'
  if (a === 0xef && b === 0xbb && c === 0xbf && d === 0x23 && bytes[4] === 0x21) return 'it begins with #!'
  if (a === 0x7f && b === 0x45 && c === 0x4c && d === 0x46) return 'an ELF program'
  // A text may begin with MZ; a program has zeros near its beginning.
  if (a === 0x4d && b === 0x5a && bytes.subarray(0, 256).includes(0)) return 'a Windows program'
  const word = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  if (MACH_O.has(word)) return 'a macOS or Java program'
  if (word === 0x0061736d) return 'a WebAssembly program'
  return undefined
}

const MACH_O = new Set([0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe, 0xbebafeca])

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192))
  return text
}
