/* loadgen: a closed loop against a peer, over its own wire protocol.
 *
 * One thread, epoll, so many connections with one request in flight on each. The clock, the
 * choice of keys and the record of latencies are the same for each protocol. It speaks to
 * loopback alone, runs for 120 s at most and ends by itself.
 *
 *   cc -O2 -o loadgen loadgen.c
 *   loadgen PROTOCOL OPERATION --targets 127.0.0.1:2379,… [--connections 16] [--seconds 5]
 *           [--warm-up 1] [--records 10000] [--value-bytes 100] [--seed 1] [--once 1]
 *
 *   etcd put, get (linearizable), serializable-get
 *   redis get, set, set-wait (WAIT 1), set-waitaof (WAITAOF 1 1)
 *
 * --once 1 writes each key once, and ends. Prints one line of JSON; "ended" counts the warm-up too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 17)
#define VALUE_BYTES_MAX 16000 /* so that a request or a reply is one HTTP/2 frame */
#define CONNECTIONS_MAX 4096
#define TARGETS_MAX 16
#define SECONDS_MAX 120
#define EVENTS 256

typedef struct {
    int fd;
    int replies;       /* RESP: seen of the request in flight */
    int is_bad;        /* RESP: one of them was an error */
    int is_first;      /* HTTP/2: no header is in the table yet */
    size_t data;       /* HTTP/2: bytes of the reply so far */
    uint32_t stream;   /* HTTP/2: of the request in flight */
    double began_s;
    size_t read;
    uint8_t in[BUFFER_BYTES];
    size_t filled, sent;
    uint8_t out[BUFFER_BYTES];
} connection;

enum outcome { MORE, DONE, FAILED };

static const char *operation;
static int connections = 16, records = 10000, value_bytes = 100, once = 0, targets = 0;
static double seconds = 5, warm_up = 1;
static struct sockaddr_in target[TARGETS_MAX];
static long failed = 0, ended = 0, next_record = 0;
static char failure[160];
static uint64_t generator = 88172645463325252ull;
static char *value;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint32_t draw(void) { /* xorshift64 */
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return generator >> 16;
}

static void die(const char *what) {
    fprintf(stderr, "loadgen: %s (%s)\n", what, strerror(errno));
    exit(2);
}

static int is_operation(const char *name) { return !strcmp(operation, name); }

static void note_failure(const uint8_t *text, size_t length) {
    if (failure[0]) return;
    if (length >= sizeof failure) length = sizeof failure - 1;
    for (size_t i = 0; i < length; i++) {
        int is_plain = text[i] >= 32 && text[i] <= 126 && text[i] != '"' && text[i] != '\\';
        failure[i] = is_plain ? text[i] : '.';
    }
    failure[length] = 0;
}

/* ---- bytes out and in ---- */

static void put_bytes(connection *c, const void *bytes, size_t n) {
    if (c->filled + n > BUFFER_BYTES) die("a request is too long");
    memcpy(c->out + c->filled, bytes, n);
    c->filled += n;
}

static void put_text(connection *c, const char *text) { put_bytes(c, text, strlen(text)); }

static void put_8(connection *c, int number) {
    uint8_t byte = number;
    put_bytes(c, &byte, 1);
}

static void put_32(connection *c, uint32_t number) {
    number = htonl(number);
    put_bytes(c, &number, 4);
}

static uint32_t get_32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void flush(connection *c) {
    while (c->sent < c->filled) {
        ssize_t n = write(c->fd, c->out + c->sent, c->filled - c->sent);
        if (n < 0 && errno == EAGAIN) {
            usleep(50);
            continue;
        }
        if (n < 0) die("write");
        c->sent += n;
    }
    c->sent = c->filled = 0;
}

static void drop(connection *c, size_t n) {
    memmove(c->in, c->in + n, c->read - n);
    c->read -= n;
}

/* ---- etcd: HTTP/2 and gRPC, just enough for unary calls ---- */

static size_t varint(uint8_t *b, uint64_t number) {
    size_t n = 0;
    for (; number > 127; number >>= 7) b[n++] = (number & 127) | 128;
    b[n++] = number;
    return n;
}

static size_t field_bytes(uint8_t *b, int field, const void *bytes, size_t length) {
    size_t n = varint(b, field << 3 | 2);
    n += varint(b + n, length);
    memcpy(b + n, bytes, length);
    return n + length;
}

static void frame(connection *c, size_t length, int type, int flags, uint32_t stream) {
    put_8(c, length >> 16);
    put_8(c, length >> 8);
    put_8(c, length);
    put_8(c, type);
    put_8(c, flags);
    put_32(c, stream);
}

static void header_text(uint8_t *b, size_t *n, const char *text) {
    size_t length = strlen(text);
    b[(*n)++] = length;
    memcpy(b + *n, text, length);
    *n += length;
}

static void call(connection *c, const char *path, const uint8_t *message, size_t length) {
    uint8_t headers[256];
    size_t n = 0;
    headers[n++] = 0x83; /* :method POST */
    headers[n++] = 0x86; /* :scheme http */
    if (c->is_first) {   /* the four others enter the table once, and are named by place later */
        headers[n++] = 0x44, header_text(headers, &n, path);
        headers[n++] = 0x41, header_text(headers, &n, "127.0.0.1");
        headers[n++] = 0x5f, header_text(headers, &n, "application/grpc");
        headers[n++] = 0x40, header_text(headers, &n, "te"), header_text(headers, &n, "trailers");
        c->is_first = 0;
    } else {
        for (int place = 0xc1; place >= 0xbe; place--) headers[n++] = place;
    }
    c->stream += 2;
    c->data = 0;
    frame(c, n, 1, 4, c->stream);
    put_bytes(c, headers, n);
    frame(c, length + 5, 0, 1, c->stream);
    put_8(c, 0);
    put_32(c, length);
    put_bytes(c, message, length);
}

static void etcd_hello(connection *c) {
    put_text(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    frame(c, 6, 4, 0, 0); /* settings: the window of a stream */
    put_8(c, 0);
    put_8(c, 4);
    put_32(c, 0x3fffffff);
    frame(c, 4, 8, 0, 0); /* the window of the connection */
    put_32(c, 0x7fffffff - 65535);
    c->stream = -1;
    c->is_first = 1;
    flush(c);
}

static void etcd_request(connection *c, const char *key, int key_bytes) {
    static uint8_t message[VALUE_BYTES_MAX + 64];
    size_t n = field_bytes(message, 1, key, key_bytes);
    if (is_operation("put")) {
        n += field_bytes(message + n, 2, value, value_bytes);
        call(c, "/etcdserverpb.KV/Put", message, n);
        return;
    }
    if (is_operation("serializable-get")) {
        n += varint(message + n, 7 << 3);
        n += varint(message + n, 1);
    }
    call(c, "/etcdserverpb.KV/Range", message, n);
}

static enum outcome etcd_parse(connection *c) {
    size_t wanted = is_operation("put") ? 1 : value_bytes;
    while (c->read >= 9) {
        const uint8_t *p = c->in;
        size_t length = (size_t)p[0] << 16 | p[1] << 8 | p[2];
        int type = p[3], flags = p[4];
        uint32_t stream = get_32(p + 5) & 0x7fffffff;
        enum outcome outcome = MORE;
        if (c->read < 9 + length) return MORE;
        if (type == 4 && !(flags & 1)) { /* settings, to be acknowledged */
            frame(c, 0, 4, 1, 0);
            flush(c);
        } else if (type == 6 && !(flags & 1)) { /* ping */
            frame(c, 8, 6, 1, 0);
            put_bytes(c, p + 9, 8);
            flush(c);
        } else if (type == 7) {
            die("the server has sent GOAWAY");
        } else if (stream == c->stream) {
            if (type == 3) outcome = FAILED; /* reset */
            if (type == 0) c->data += length;
            if (type <= 1 && flags & 1) outcome = c->data >= wanted ? DONE : FAILED;
            if (outcome == FAILED) note_failure(p + 9, length);
        }
        drop(c, 9 + length);
        if (outcome != MORE) return outcome;
    }
    return MORE;
}

/* ---- Valkey: RESP ---- */

static void redis_hello(connection *c) { (void)c; }

static void redis_request(connection *c, const char *key, int key_bytes) {
    char text[128];
    c->replies = c->is_bad = 0;
    if (is_operation("get")) {
        snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_bytes, key);
        put_text(c, text);
        return;
    }
    snprintf(text, sizeof text, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", key_bytes, key,
             value_bytes);
    put_text(c, text);
    put_bytes(c, value, value_bytes);
    put_text(c, "\r\n");
    if (is_operation("set-wait")) put_text(c, "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n5000\r\n");
    if (is_operation("set-waitaof"))
        put_text(c, "*4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n1\r\n$4\r\n5000\r\n");
}

/* The length of one reply, 0 if it is not all there. WAIT tells one number, WAITAOF two: how many
 * replicas have the write. Fewer than one is an error. */
static size_t reply_length(const uint8_t *p, size_t n, int *is_bad) {
    const uint8_t *end = memmem(p, n, "\r\n", 2);
    if (!end) return 0;
    size_t length = end - p + 2;
    long number = atol((const char *)p + 1);
    switch (*p) {
    case '+':
        return length;
    case ':':
        *is_bad |= number < 1;
        return length;
    case '$':
        if (number < 0) {
            *is_bad = 1;
            return length;
        }
        return n < length + number + 2 ? 0 : length + number + 2;
    case '*':
        for (long i = 0; i < number; i++) {
            size_t one = reply_length(p + length, n - length, is_bad);
            if (!one) return 0;
            length += one;
        }
        return length;
    default:
        *is_bad = 1;
        return length;
    }
}

static enum outcome redis_parse(connection *c) {
    int wanted = is_operation("set-wait") || is_operation("set-waitaof") ? 2 : 1;
    while (c->read) {
        int is_bad = 0;
        size_t length = reply_length(c->in, c->read, &is_bad);
        if (!length) return MORE;
        if (is_bad) note_failure(c->in, length);
        c->is_bad |= is_bad;
        drop(c, length);
        if (++c->replies == wanted) return c->is_bad ? FAILED : DONE;
    }
    return MORE;
}

/* ---- the loop ---- */

static const struct protocol {
    const char *name;
    void (*hello)(connection *);
    void (*request)(connection *, const char *, int);
    enum outcome (*parse)(connection *);
} protocols[] = {
    {"etcd", etcd_hello, etcd_request, etcd_parse},
    {"redis", redis_hello, redis_request, redis_parse},
};
static const struct protocol *protocol;

static void begin(connection *c) {
    char key[16];
    int number = once ? (int)next_record++ : (int)(draw() % records);
    int key_bytes = snprintf(key, sizeof key, "k%09d", number);
    /* Values differ by their keys. */
    memcpy(value, key, key_bytes < value_bytes ? key_bytes : value_bytes);
    protocol->request(c, key, key_bytes);
    c->began_s = now();
    flush(c);
}

static void open_connection(connection *c, int number, int poll) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&target[number % targets], sizeof target[0])) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    protocol->hello(c);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
}

static void read_targets(char *list) {
    for (char *one = strtok(list, ","); one && targets < TARGETS_MAX; one = strtok(NULL, ",")) {
        char *port = strchr(one, ':');
        if (!port) die("a target is HOST:PORT");
        *port++ = 0;
        target[targets].sin_family = AF_INET;
        target[targets].sin_port = htons(atoi(port));
        if (inet_pton(AF_INET, one, &target[targets].sin_addr) != 1) die("address");
        if (ntohl(target[targets].sin_addr.s_addr) >> 24 != 127) die("loopback only");
        targets++;
    }
}

static void read_arguments(int count, char **arguments) {
    if (count < 3) die("usage: loadgen PROTOCOL OPERATION --targets HOST:PORT,…");
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(arguments[1], protocols[i].name)) protocol = protocols + i;
    if (!protocol) die("unknown protocol");
    operation = arguments[2];
    for (int i = 3; i + 1 < count; i += 2) {
        char *name = arguments[i], *given = arguments[i + 1];
        if (!strcmp(name, "--connections")) connections = atoi(given);
        else if (!strcmp(name, "--seconds")) seconds = atof(given);
        else if (!strcmp(name, "--warm-up")) warm_up = atof(given);
        else if (!strcmp(name, "--records")) records = atoi(given);
        else if (!strcmp(name, "--value-bytes")) value_bytes = atoi(given);
        else if (!strcmp(name, "--once")) once = atoi(given);
        else if (!strcmp(name, "--seed")) generator ^= strtoull(given, 0, 10) * 2654435761u;
        else if (!strcmp(name, "--targets")) read_targets(given);
        else die(name);
    }
    if (!targets || connections < 1 || connections > CONNECTIONS_MAX || value_bytes < 1 ||
        value_bytes > VALUE_BYTES_MAX || records < 1)
        die("bad arguments");
    if (seconds > SECONDS_MAX) seconds = SECONDS_MAX;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static uint32_t *latencies; /* in 0.1 us */
static size_t counted = 0, room = 1 << 20;

static void record(double latency_s) {
    double tenths = latency_s * 1e7;
    if (counted == room) latencies = realloc(latencies, (room *= 2) * sizeof *latencies);
    latencies[counted++] = tenths > 4e9 ? 4e9 : tenths;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(double length_s, double used_s) {
    static const double percents[] = {50, 75, 90, 95, 99, 99.5, 99.9, 99.99};
    double sum = 0;
    for (size_t i = 0; i < counted; i++) sum += latencies[i];
    qsort(latencies, counted, sizeof *latencies, by_size);
    printf("{\"seconds\":%.3f,\"operations\":%zu,\"failed\":%ld,\"failure\":\"%s\",", length_s,
           counted, failed, failure);
    printf("\"ended\":%ld,\"cpu_s\":%.3f,", ended, used_s);
    printf("\"mean_ms\":%.4f,\"max_ms\":%.4f,\"percentiles_ms\":{",
           counted ? sum / counted / 1e4 : 0, counted ? latencies[counted - 1] / 1e4 : 0);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        size_t place = counted ? (size_t)((counted - 1) * percents[i] / 100) : 0;
        printf("%s\"%g\":%.4f", i ? "," : "", percents[i], counted ? latencies[place] / 1e4 : 0);
    }
    printf("}}\n");
}

int main(int count, char **arguments) {
    read_arguments(count, arguments);
    value = malloc(value_bytes);
    for (int i = 0; i < value_bytes; i++) value[i] = 'a' + draw() % 26;
    latencies = malloc(room * sizeof *latencies);
    int poll = epoll_create1(0);
    connection *all = calloc(connections, sizeof *all);
    for (int i = 0; i < connections; i++) open_connection(all + i, i, poll);

    double start_s = now(), begin_s = start_s + (once ? 0 : warm_up);
    double end_s = once ? start_s + SECONDS_MAX : begin_s + seconds, used_s = cpu_s();
    int is_warm = 0;
    for (int i = 0; i < connections && (!once || next_record < records); i++) begin(all + i);
    while (now() < end_s && (!once || ended < records)) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poll, events, EVENTS, 200);
        if (!is_warm && now() >= begin_s) {
            is_warm = 1, begin_s = now(), used_s = cpu_s();
            counted = failed = 0, failure[0] = 0;
        }
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            ssize_t got = read(c->fd, c->in + c->read, BUFFER_BYTES - c->read);
            if (got == 0) die("the server has closed a connection");
            if (got < 0 && errno == EAGAIN) continue;
            if (got < 0) die("read");
            c->read += got;
            enum outcome outcome = protocol->parse(c);
            if (outcome == MORE) continue;
            if (outcome == FAILED) failed++;
            else record(now() - c->began_s);
            ended++;
            if (!once || next_record < records) begin(c);
        }
    }
    report(now() - begin_s, cpu_s() - used_s);
    return counted ? 0 : 1;
}
