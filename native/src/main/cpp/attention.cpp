// Flash attention in place of ggml's, whose sums depend on the number of rows and threads.

#include "attention.h"

#include "attention_kernels.h"
#include "work_sharing.h"

#include <algorithm>
#include <cstring>

namespace llamafu {

namespace {

/// Rows of a task, which share the keys and values that it unpacks.
constexpr int64_t task_rows = 96;

const AttentionKernels & best_kernels() {
    static const AttentionKernels & kernels = attention_kernels(best_cpu_level());
    return kernels;
}

float parameter(const ggml_tensor * op, int index) {
    float value;
    std::memcpy(&value, op->op_params + index, sizeof value);
    return value;
}

/// How a node falls into tasks: by sequence, heads of keys and positions.
struct Tasks {
    int64_t key_heads; // of a task
    int64_t heads;     // of queries, of a task
    int64_t positions; // of a task
    int64_t parts;     // of the positions of a sequence
    int64_t groups;    // of the heads
    int64_t count;

    Tasks(const ggml_tensor * op, int threads) {
        const ggml_tensor * q = op->src[0];
        const ggml_tensor * k = op->src[1];
        // With few positions, a task reads the keys and values of all heads, which are adjacent in memory: by itself, a head
        // would read them at half the speed. That needs enough sequences for all threads.
        key_heads = q->ne[1] * q->ne[2] <= task_rows && q->ne[3] >= 2 * threads ? k->ne[2] : 1;
        heads = q->ne[2] / k->ne[2] * key_heads;
        positions = std::max<int64_t>(1, std::min(q->ne[1], task_rows / heads));
        parts = (q->ne[1] + positions - 1) / positions;
        groups = k->ne[2] / key_heads;
        count = q->ne[3] * groups * parts;
    }
};

AttentionTask task_of(const ggml_tensor * op, const Tasks & tasks, int64_t index) {
    const ggml_tensor * q = op->src[0];
    const ggml_tensor * k = op->src[1];
    const ggml_tensor * v = op->src[2];
    const ggml_tensor * mask = op->src[3];
    const int64_t first = index % tasks.parts * tasks.positions;
    const int64_t group = index / tasks.parts % tasks.groups;
    const int64_t sequence = index / tasks.parts / tasks.groups;
    const int64_t head = group * tasks.heads;
    const int64_t key_head = group * tasks.key_heads;
    AttentionTask task = {};
    task.q = static_cast<const char *>(q->data) + first * q->nb[1] + head * q->nb[2] + sequence * q->nb[3];
    task.q_head = q->nb[2];
    task.q_row = q->nb[1];
    task.k = static_cast<const char *>(k->data) + key_head * k->nb[2] + sequence * k->nb[3];
    task.k_head = k->nb[2];
    task.k_row = k->nb[1];
    task.v = static_cast<const char *>(v->data) + key_head * v->nb[2] + sequence * v->nb[3];
    task.v_head = v->nb[2];
    task.v_row = v->nb[1];
    if (mask != nullptr) {
        task.mask = static_cast<const char *>(mask->data) + first * mask->nb[1] + sequence % mask->ne[3] * mask->nb[3];
        task.mask_row = mask->nb[1];
    }
    task.out_head = op->nb[1];
    task.out_row = op->nb[2];
    task.out = reinterpret_cast<float *>(static_cast<char *>(op->data) + head * op->nb[1] + first * op->nb[2]
        + sequence * op->nb[3]);
    task.heads = tasks.heads;
    task.key_heads = tasks.key_heads;
    task.rows = std::min(tasks.positions, q->ne[1] - first);
    task.cells = k->ne[1];
    task.key_size = k->ne[0];
    task.value_size = v->ne[0];
    task.scale = parameter(op, 0);
    return task;
}

/// Floats of a thread, in whole cache lines: enough for any task of the node.
size_t scratch_floats(const ggml_tensor * op) {
    const int64_t shared = op->src[0]->ne[2] / op->src[1]->ne[2]; // heads of queries for one of keys
    const size_t floats = best_kernels().scratch(std::max(task_rows, shared), op->src[1]->ne[0], op->src[2]->ne[0]);
    return (floats + 15) / 16 * 16;
}

} // namespace

bool is_our_attention(const ggml_tensor * op) {
    if (op->op != GGML_OP_FLASH_ATTN_EXT || best_cpu_level() == CpuLevel::plain) {
        return false;
    }
    const ggml_tensor * q = op->src[0];
    const ggml_tensor * k = op->src[1];
    const ggml_tensor * v = op->src[2];
    const ggml_tensor * mask = op->src[3];
    const bool types = q->type == GGML_TYPE_F32 && k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16 && op->type == GGML_TYPE_F32
        && (mask == nullptr || mask->type == GGML_TYPE_F16);
    const bool rows = q->nb[0] == sizeof(float) && k->nb[0] == sizeof(ggml_fp16_t) && v->nb[0] == sizeof(ggml_fp16_t)
        && op->nb[0] == sizeof(float);
    const bool sizes = k->ne[0] % 16 == 0 && v->ne[0] % 16 == 0 && q->ne[2] % k->ne[2] == 0 && k->ne[2] == v->ne[2]
        && q->ne[3] == k->ne[3] && q->ne[3] == v->ne[3] && (mask == nullptr || mask->ne[2] == 1);
    const bool plain = op->src[4] == nullptr && parameter(op, 1) == 0 && parameter(op, 2) == 0;
    return types && rows && sizes && plain;
}

size_t attention_work_bytes(const ggml_tensor * op, int threads) {
    return scratch_floats(op) * static_cast<size_t>(threads) * sizeof(float);
}

void compute_attention(const ggml_compute_params * params, const ggml_tensor * op) {
    const Tasks tasks(op, params->nth);
    float * scratch = static_cast<float *>(params->wdata) + static_cast<size_t>(params->ith) * scratch_floats(op);
    Dealer(params, op, tasks.count).each([&](int64_t i) { best_kernels().attend(task_of(op, tasks, i), scratch); });
}

} // namespace llamafu
