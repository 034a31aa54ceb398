// The same work as in the other languages: primes, a dictionary, a sort.
const limit = 200000;
const sieve = new Uint8Array(limit).fill(1);
sieve[0] = sieve[1] = 0;
for (let number = 2; number * number < limit; number++) {
  if (sieve[number]) {
    for (let multiple = number * number; multiple < limit; multiple += number) sieve[multiple] = 0;
  }
}
const words = new Map();
for (let number = 0; number < 200000; number++) {
  const word = "word" + (number % 50000);
  words.set(word, (words.get(word) ?? 0) + 1);
}
let seed = 7;
const numbers = [];
for (let number = 0; number < 100000; number++) {
  seed = Number((BigInt(seed) * 1103515245n + 12345n) % 2147483648n);
  numbers.push(seed % 1000);
}
numbers.sort((one, other) => one - other);
console.log(sieve.reduce((sum, one) => sum + one, 0), words.size, numbers[1000]);
