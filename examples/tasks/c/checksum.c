// Prints the CRC-32, the size and the name of every file named, as `cksum -a crc32b` would; of standard input when
// none is.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>

static uint32_t table[256];

// The reflected polynomial of IEEE 802.3.
static void fill_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
        }
        table[byte] = crc;
    }
}

static int sum(FILE *file, const char *name) {
    static unsigned char piece[1 << 16];
    uint32_t crc = 0xffffffffu;
    unsigned long long size = 0;
    size_t read;
    while ((read = fread(piece, 1, sizeof piece, file)) > 0) {
        for (size_t at = 0; at < read; at++) {
            crc = table[(crc ^ piece[at]) & 0xff] ^ (crc >> 8);
        }
        size += read;
    }
    if (ferror(file)) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        return 1;
    }
    printf("%08x %llu %s\n", crc ^ 0xffffffffu, size, name);
    return 0;
}

int main(int argc, char **argv) {
    fill_table();
    if (argc < 2) {
        return sum(stdin, "-");
    }
    int failed = 0;
    for (int number = 1; number < argc; number++) {
        FILE *file = fopen(argv[number], "rb");
        if (!file) {
            fprintf(stderr, "%s: %s\n", argv[number], strerror(errno));
            failed = 1;
            continue;
        }
        failed |= sum(file, argv[number]);
        fclose(file);
    }
    return failed;
}
