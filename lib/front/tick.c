/*
 * tick.c - what happens now and then, on somebody's slow path: idle memory goes back, and
 * SuperSlabs get their size.
 *
 * There is no thread for it. A thread looks at the clock once in many slow paths, and one
 * of those that find the time come does the work. A process that does not allocate keeps
 * what it has. And what happens when the system refuses memory.
 */
#include "front/front.h"

#include "core/config.h"
#include "front/learning.h"
#include "mid/ace.h"
#include "mid/big.h"
#include "mid/growing.h"
#include "mid/span.h"
#include "mid/sparse.h"
#include "os/os.h"
#include "slab/mixed.h"
#include "slab/shared_pool.h"

static uint64_t next_ns;

static int is_my_turn(void)
{
    uint64_t now_ns = hak_os_now_ns(), due_ns = hak_load_relaxed(&next_ns);
    if (now_ns < due_ns)
        return 0;
    uint64_t idle_ns = (uint64_t)hak_knob(purge_idle_ms) * 1000000u;
    return hak_cas_acq_rel(&next_ns, &due_ns, now_ns + idle_ns) && due_ns != 0;
}

void hak_tick(void)
{
    hak_learning_start();
    if (!is_my_turn())
        return;
    hak_pool_size_superslabs();
    hak_ace_direct_give_kept();
    hak_sparse_age();
    hak_gauge_add(purged_bytes, hak_pool_purge() + hak_mixed_tick() +
                                hak_growing_purge() + hak_span_purge());
    hak_big_tick();
}

size_t hak_reclaim(void)
{
    hak_ace_direct_give_kept();
    size_t bytes = hak_sparse_give_all(); /* other classes may have it now */
    return bytes + hak_pool_reclaim() + hak_big_reclaim() + hak_span_reclaim();
}
