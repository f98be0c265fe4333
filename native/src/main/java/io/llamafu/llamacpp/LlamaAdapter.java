package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterInfo;

import java.nio.file.Path;

import static java.nio.charset.StandardCharsets.UTF_8;

/** A LoRA adapter in memory, for one model. */
final class LlamaAdapter extends NativeHandle {
    private final LlamaModel model;
    private final AdapterInfo info;
    private final long bytes;

    private LlamaAdapter(long address, LlamaModel model, AdapterInfo info) {
        super(address);
        this.model = model;
        this.info = info;
        this.bytes = LlamaCpp.adapterBytes(address);
    }

    /**
     * Loads an adapter file that was found compatible with the model; llama.cpp itself may abort on a hostile one. May
     * run during a decode.
     *
     * @param info the metadata of the file
     * @param mixed whether the adapter is for sequences that share a batch with others, and not for whole contexts
     * @param giveWay runs between parts of the file
     * @throws io.llamafu.LlamafuException with ADAPTER_LOAD_FAILED or OUT_OF_MEMORY
     */
    static LlamaAdapter load(LlamaModel model, Path file, AdapterInfo info, boolean mixed, Runnable giveWay) {
        long modelAddress = model.acquire();
        try {
            return new LlamaAdapter(
                    LlamaCpp.loadAdapter(modelAddress, file.toString().getBytes(UTF_8), mixed, giveWay), model, info);
        } catch (RuntimeException | Error e) {
            model.release();
            throw e;
        }
    }

    AdapterInfo info() {
        return info;
    }

    /** Size of its weights in memory. */
    long bytes() {
        return bytes;
    }

    @Override
    void free(long address) {
        LlamaCpp.freeAdapter(address);
        model.release();
    }
}
