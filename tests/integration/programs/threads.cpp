// Threads that hand blocks of every size to each other: most are freed by another thread than the
// one that allocated them. Threads come and go in waves, some allocations fail and throw, some are
// over-aligned. What it prints depends on the seeds alone, not on the schedule.
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct alignas(256) Wide {
    uint64_t word[32];
};

struct Parcel {
    std::unique_ptr<char[]> bytes;
    size_t size;
    std::string label;
    std::unique_ptr<Wide> wide;
};

class Channel
{
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Parcel> parcels;

  public:
    void send(Parcel parcel)
    {
        std::lock_guard<std::mutex> hold(mutex);
        parcels.push_back(std::move(parcel));
        changed.notify_one();
    }
    Parcel receive()
    {
        std::unique_lock<std::mutex> hold(mutex);
        changed.wait(hold, [this] { return !parcels.empty(); });
        Parcel parcel = std::move(parcels.front());
        parcels.pop_front();
        return parcel;
    }
};

static uint64_t next(uint64_t &state)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static Parcel pack(uint64_t &state)
{
    uint64_t dice = next(state);
    size_t size = dice % 100 == 0 ? dice % 3000000 : dice % 10 == 0 ? dice % 40000 : dice % 1200;
    Parcel parcel{std::unique_ptr<char[]>(new char[size + 1]), size, std::string(dice % 90, 'l'), nullptr};
    memset(parcel.bytes.get(), int(dice & 0xff), size);
    if (dice % 7 == 0) {
        parcel.wide.reset(new Wide);
        if (reinterpret_cast<uintptr_t>(parcel.wide.get()) % alignof(Wide) != 0)
            throw std::logic_error("over-aligned new is not aligned");
    }
    return parcel;
}

static uint64_t unpack(const Parcel &parcel)
{
    uint64_t sum = parcel.label.size();
    for (size_t i = 0; i < parcel.size; i += 61)
        sum += uint8_t(parcel.bytes[i]) * (i + 1);
    return sum;
}

static uint64_t refused_requests()
{
    uint64_t refused = 0;
    volatile size_t absurd = SIZE_MAX / 2;
    try {
        std::unique_ptr<char[]> never(new char[absurd]);
    } catch (const std::bad_alloc &) {
        refused++;
    }
    if (char *never = new (std::nothrow) char[absurd])
        delete[] never;
    else
        refused++;
    return refused;
}

static uint64_t wave(unsigned number, unsigned pairs, unsigned parcels)
{
    std::vector<Channel> channels(pairs);
    std::vector<uint64_t> sums(pairs);
    std::vector<std::thread> threads;
    for (unsigned p = 0; p < pairs; p++) {
        threads.emplace_back([&, p] {
            uint64_t state = 88172645463325252ull + number * 1000 + p;
            for (unsigned i = 0; i < parcels; i++)
                channels[p].send(pack(state));
        });
        threads.emplace_back([&, p] {
            std::map<std::string, std::vector<Parcel>> shelf;
            for (unsigned i = 0; i < parcels; i++) {
                Parcel parcel = channels[p].receive();
                sums[p] += unpack(parcel);
                auto &row = shelf[parcel.label];
                row.push_back(std::move(parcel));
                if (row.size() > 8)
                    shelf.erase(shelf.begin());
            }
            sums[p] += refused_requests();
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    uint64_t total = 0;
    for (uint64_t sum : sums)
        total += sum;
    return total;
}

int main()
{
    for (unsigned number = 0; number < 12; number++)
        printf("wave %u: %llu\n", number, (unsigned long long)wave(number, 4, 3000));
    return 7;
}
