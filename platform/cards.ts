/**
 * Numbers as they stand on cards: 13 to 19 digits in a row, or in groups of four, of 4-6-5 (American Express) or 4-6-4 (Diners).
 * What touches a letter, another digit or a hyphen is part of something else, such as a UUID.
 */
const WRITTEN: readonly RegExp[] = [
  /\d{13,19}/,
  /\d{4}([ .-])\d{4}\1\d{4}\1\d{4}/,
  /\d{4}([ .-])\d{4}\1\d{4}\1\d{4}\1\d{3}/,
  /\d{4}([ .-])\d{6}\1\d{4,5}/,
].map(({ source }) => new RegExp(`(?<![A-Za-z0-9-])${source}(?![A-Za-z0-9-])`, "g"));

/** First digits and lengths of the schemes in use (ISO/IEC 7812); 9 is Korea's own. */
const SCHEMES: readonly RegExp[] = [
  /^4(\d{12}|\d{15}|\d{18})$/,
  /^(5[1-5]\d{14}|2(22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12})$/,
  /^3[47]\d{13}$/,
  /^3(0[0-5]|[68]\d)\d{11,16}$/,
  /^35(2[89]|[3-8]\d)\d{12,15}$/,
  /^6\d{12,18}$/,
  /^5[06-8]\d{11,17}$/,
  /^9\d{15}$/,
];

/** The check digit of ISO/IEC 7812-1, annex B (Luhn). */
function hasCheckDigit(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index]);
    const weighed = index % 2 === 0 ? digit : digit * 2;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return sum % 10 === 0;
}

function isCard(written: string): boolean {
  const digits = written.replace(/\D/g, "");
  return SCHEMES.some((scheme) => scheme.test(digits)) && hasCheckDigit(digits);
}

function looksLikeCard(text: string): boolean {
  for (const pattern of WRITTEN) {
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      if (isCard(match[0])) return true;
      // Another group of four may stand in front of the number, or behind it the date.
      pattern.lastIndex = match.index + 1;
    }
  }
  return false;
}

/** Whether a JSON value holds a card's number anywhere: in texts, in numbers, in names of members. */
export function holdsCardNumber(value: unknown): boolean {
  if (typeof value === "string") return value.length > 12 && looksLikeCard(value);
  if (typeof value === "number") return value >= 1e12 && looksLikeCard(String(value));
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(holdsCardNumber);
  return Object.entries(value).some(([name, member]) => holdsCardNumber(name) || holdsCardNumber(member));
}
