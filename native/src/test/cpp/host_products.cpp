// Checks that weights in host memory are multiplied there, also when a device would take over large products
// (llama.cpp's "op_offload"): our nodes change the results in place, and would change a copy. The device is a double that
// counts the operations it is asked to take, and takes none.

#include "loading.h"
#include "random_model.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "llama.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

std::atomic<int> asked{0};

const char * name_of_device(ggml_backend_dev_t) {
    return "DOUBLE";
}

const char * name_of_registry(ggml_backend_reg_t) {
    return "DOUBLE";
}

ggml_guid_t guid() {
    static ggml_guid bytes = {0x6c, 0x6c, 0x61, 0x6d, 0x61, 0x66, 0x75};
    return &bytes;
}

/// Computes like the CPU, but is a GPU for the scheduler.
ggml_backend_t init(ggml_backend_dev_t device, const char *) {
    ggml_backend_t backend = ggml_backend_cpu_init();
    backend->guid = guid();
    backend->device = device;
    return backend;
}

/// Memory of its own, as far as the scheduler can tell.
ggml_backend_buffer_type_t buffers_of(ggml_backend_dev_t device) {
    static ggml_backend_buffer_type type = [device] {
        ggml_backend_buffer_type own = *ggml_backend_cpu_buffer_type();
        own.iface.is_host = nullptr;
        own.device = device;
        return own;
    }();
    return &type;
}

ggml_backend_dev_t device_of(ggml_backend_reg_t registry, size_t) {
    static ggml_backend_device device = [registry] {
        ggml_backend_device_i calls{};
        calls.get_name = name_of_device;
        calls.get_description = name_of_device;
        calls.get_memory = [](ggml_backend_dev_t, size_t * free, size_t * total) { *free = *total = size_t{1} << 30; };
        calls.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
        calls.get_props = [](ggml_backend_dev_t self, ggml_backend_dev_props * props) {
            *props = {};
            props->name = props->description = name_of_device(self);
            props->type = GGML_BACKEND_DEVICE_TYPE_GPU;
        };
        calls.init_backend = init;
        calls.get_buffer_type = buffers_of;
        calls.supports_op = [](ggml_backend_dev_t, const ggml_tensor *) { return true; };
        calls.supports_buft = [](ggml_backend_dev_t self, ggml_backend_buffer_type_t type) { return type == buffers_of(self); };
        calls.offload_op = [](ggml_backend_dev_t, const ggml_tensor *) {
            asked++;
            return false;
        };
        return ggml_backend_device{calls, registry, nullptr};
    }();
    return &device;
}

/// How many operations of a step of 64 tokens the device is asked to take.
int asked_of(llama_model * model, llama_context_params params) {
    const llamafu::ContextPointer context(llama_init_from_model(model, params));
    std::vector<llama_token> tokens(64, 1);
    asked = 0;
    if (context == nullptr || llama_decode(context.get(), llama_batch_get_one(tokens.data(), 64)) != 0) {
        std::puts("no context, or no step");
        std::exit(1);
    }
    return asked;
}

} // namespace

int main() {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    ggml_backend_reg registry{GGML_BACKEND_API_VERSION, {}, nullptr};
    registry.iface.get_name = name_of_registry;
    registry.iface.get_device_count = [](ggml_backend_reg_t) { return size_t{1}; };
    registry.iface.get_device = device_of;
    ggml_backend_register(&registry);

    const std::string path =
        (std::filesystem::temp_directory_path() / ("host_products." + std::to_string(getpid()) + ".gguf")).string();
    llamafu::write_model(path, {64, 2, 4, 2, 128, 96, GGML_TYPE_F32}, 1);
    llama_model * model = llama_model_load_from_file(path.c_str(), llamafu::model_params({0, -1, false, false}));
    std::remove(path.c_str());
    if (model == nullptr) {
        std::puts("no model");
        return 1;
    }
    llama_context_params ours = llamafu::context_params({256, 1, 64, 1, llamafu::vocabulary_of(model), false});
    llama_context_params theirs = ours;
    theirs.op_offload = true;
    const int by_us = asked_of(model, ours);
    const int by_default = asked_of(model, theirs);
    llama_model_free(model);
    std::printf("operations that the device is asked to take: %d, and %d with op_offload\n", by_us, by_default);
    const bool passed = by_us == 0 && by_default > 0;
    std::puts(passed ? "PASSED" : "FAILED");
    return passed ? 0 : 1;
}
