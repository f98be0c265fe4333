// Loads and frees adapters in one thread while another decodes with them, for ThreadSanitizer and for leaks.
// Usage: lora_race FOLDER [SECONDS]; a small model and its adapters are written into FOLDER. Built by hand, with llama.cpp
// compiled with the same sanitizer: see docs/native-build.md.

#include "lora_routing.h"
#include "random_model.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace llamafu;

namespace {

constexpr int sequences = 8;
constexpr int files = 12;
constexpr size_t residents = 6;

/// Mimics the engine's commands: adapters are handed to the decode thread, and taken back before they are freed.
class Exchange {
public:
    void put(std::vector<llama_adapter_lora *> & queue, llama_adapter_lora * adapter) {
        const std::lock_guard<std::mutex> lock(mutex_);
        queue.push_back(adapter);
    }

    llama_adapter_lora * take(std::vector<llama_adapter_lora *> & queue) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (queue.empty()) {
            return nullptr;
        }
        llama_adapter_lora * adapter = queue.back();
        queue.pop_back();
        return adapter;
    }

    std::vector<llama_adapter_lora *> loaded;
    std::vector<llama_adapter_lora *> released;

private:
    std::mutex mutex_;
};

long resident_kilobytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmRSS:", 0) == 0) {
            return std::atol(line.c_str() + 6);
        }
    }
    return 0;
}

void decode(llama_context * context, int position) {
    llama_batch batch = llama_batch_init(sequences, 0, 1);
    for (int seq = 0; seq < sequences; ++seq) {
        batch.token[seq] = (seq * 7919 + position) % 200;
        batch.pos[seq] = position;
        batch.n_seq_id[seq] = 1;
        batch.seq_id[seq][0] = seq;
        batch.logits[seq] = true;
    }
    batch.n_tokens = sequences;
    if (llama_decode(context, batch) != 0) {
        std::fputs("decode fails\n", stderr);
        std::exit(EXIT_FAILURE);
    }
    llama_batch_free(batch);
}

} // namespace

int main(int argc, char ** argv) {
    if (argc < 2) {
        std::fputs("usage: lora_race FOLDER [SECONDS]\n", stderr);
        return EXIT_FAILURE;
    }
    const std::string folder = argv[1];
    const int seconds = argc > 2 ? std::atoi(argv[2]) : 10;
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();

    const ModelShape shape { 128, 2, 4, 2, 256, 256, GGML_TYPE_F16 };
    std::filesystem::create_directories(folder);
    write_model(folder + "/model.gguf", shape, 1);
    for (int i = 0; i < files; ++i) {
        AdapterShape adapter { 4 << (i % 3), 16, GGML_TYPE_F16, GGML_TYPE_F16, targets_of(shape) };
        adapter.targets.erase(adapter.targets.begin(), adapter.targets.begin() + 2); // not the embedding and the output
        write_adapter(folder + "/" + std::to_string(i) + ".gguf", shape, adapter, 100 + i);
    }
    llama_model * model = llama_model_load_from_file((folder + "/model.gguf").c_str(), llama_model_default_params());
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 64 * sequences;
    params.n_batch = sequences;
    params.n_seq_max = sequences;
    params.n_threads = params.n_threads_batch = 2;
    llama_context * context = llama_init_from_model(model, params);

    Exchange exchange;
    std::atomic<bool> stop { false };
    std::atomic<long> loads { 0 };
    std::thread loader([&] {
        std::mt19937 random(1);
        while (!stop) {
            const std::string file = folder + "/" + std::to_string(random() % files) + ".gguf";
            exchange.put(exchange.loaded, llama_adapter_lora_init(model, file.c_str()));
            loads++;
            while (llama_adapter_lora * adapter = exchange.take(exchange.released)) {
                llama_adapter_lora_free(adapter);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1)); // the decode thread takes turns with it
        }
    });

    long steps = 0;
    long start_kilobytes = 0;
    std::vector<llama_adapter_lora *> resident;
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
    {
        SequenceAdapters routing(context);
        std::mt19937 random(2);
        while (elapsed() < seconds) {
            while (llama_adapter_lora * adapter = exchange.take(exchange.loaded)) {
                resident.push_back(adapter);
                while (resident.size() > residents) {
                    llama_adapter_lora * oldest = resident.front();
                    resident.erase(resident.begin());
                    for (int seq = 0; seq < sequences; ++seq) {
                        routing.set(seq, {});
                    }
                    routing.release(oldest);
                    exchange.put(exchange.released, oldest);
                }
            }
            for (int seq = 0; seq < sequences && !resident.empty(); ++seq) {
                routing.set(seq, { { resident[random() % resident.size()], 1.0f } });
            }
            if (steps % 60 == 0) {
                llama_memory_clear(llama_get_memory(context), false);
            }
            decode(context, steps++ % 60);
            if (start_kilobytes == 0 && elapsed() > seconds / 5.0) {
                start_kilobytes = resident_kilobytes();
            }
        }
        stop = true;
        loader.join();
        std::printf("%ld steps beside %ld loads; resident memory %ld KB after a fifth of the time, %ld KB at the end\n", steps, loads.load(),
                    start_kilobytes, resident_kilobytes());
    }
    llama_free(context);
    for (auto * queue : { &resident, &exchange.loaded, &exchange.released }) {
        for (llama_adapter_lora * adapter : *queue) {
            llama_adapter_lora_free(adapter);
        }
    }
    llama_model_free(model);
    return EXIT_SUCCESS;
}
