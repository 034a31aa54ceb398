# The same work as in the other languages: primes, a dictionary, a sort.
limit = 200_000
sieve = Array.new(limit, 1)
sieve[0] = sieve[1] = 0
2.upto(Integer.sqrt(limit)) do |number|
  next if sieve[number].zero?
  (number * number).step(limit - 1, number) { |multiple| sieve[multiple] = 0 }
end
words = Hash.new(0)
200_000.times { |number| words["word#{number % 50_000}"] += 1 }
seed = 7
numbers = Array.new(100_000) do
  seed = (seed * 1103515245 + 12345) % 2147483648
  seed % 1000
end
numbers.sort!
puts "#{sieve.sum} #{words.size} #{numbers[1000]}"
