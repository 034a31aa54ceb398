// Adds up the numbers among its arguments, and says of every other one what is wrong with it. More than a hundred is too
// much: that is thrown out of the program.
#include <cstdio>
#include <stdexcept>
#include <string>

namespace {

struct Guard {
    const char *name;
    ~Guard() { std::printf("looked at %s\n", name); }
};

int parse(const char *word) {
    Guard guard{word};
    if (*word == '-') throw std::invalid_argument("negative");
    return std::stoi(word);
}

}  // namespace

int main(int argc, char **argv) {
    int sum = 0;
    for (int at = 1; at < argc; at++) {
        try {
            sum += parse(argv[at]);
        } catch (const std::invalid_argument &error) {
            std::printf("%s is no number: %s\n", argv[at], error.what());
        } catch (const std::out_of_range &) {
            std::printf("%s is too large\n", argv[at]);
        }
    }
    std::printf("sum %d\n", sum);
    if (sum > 100) throw std::runtime_error("more than a hundred");
}
