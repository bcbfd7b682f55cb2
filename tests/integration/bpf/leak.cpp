// leak.cpp - serves requests for ever, and forgets a part of each session.
#include <cstdio>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace server {

struct Session {
    std::string name;
    std::vector<int> scores;
};

class Registry {
public:
    __attribute__((noinline)) void remember(int number)
    {
        auto *session = new Session{std::string(100, 'x'), {}};
        session->scores.resize(2000); // LEAK
        last = session;
        (void)number;
    }

private:
    Session *last = nullptr;
};

__attribute__((noinline)) void serve(Registry &registry, int number)
{
    auto reply = std::make_unique<std::vector<char>>(5000);
    (*reply)[0] = 1;
    registry.remember(number);
}

} // namespace server

int main()
{
    server::Registry registry;
    for (int number = 0;; number++) {
        server::serve(registry, number);
        if (number == 0)
            dprintf(1, "leaking\n");
        usleep(200);
    }
}
