package io.llamafu.jllama;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterCatalog.OpenStack;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterSource.Version;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.support.AdapterInventory.InMemory;
import io.llamafu.engine.support.ModelDigest;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.ModelFile;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;

/**
 * Loads a model with every adapter of the catalog, because java-llama.cpp accepts adapters only then. It gets only
 * files that were checked.
 */
final class ModelLoader {
    private static final Logger LOG = LoggerFactory.getLogger(ModelLoader.class);
    /** llama.cpp b4916 interprets -1 as its own default; more layers than any model has means all layers. */
    private static final int ALL_LAYERS = 9999;

    private final EngineOptions options;
    private final ModelFile file;
    private final AdapterCatalog catalog;
    private final int sequenceTokens;
    private final long adapterBudget;

    /** @param adapterBudget the most bytes of adapters; 0 is no limit */
    ModelLoader(EngineOptions options, ModelFile file, AdapterCatalog catalog, int sequenceTokens, long adapterBudget) {
        this.options = options;
        this.file = file;
        this.catalog = catalog;
        this.sequenceTokens = sequenceTokens;
        this.adapterBudget = adapterBudget;
    }

    /**
     * Loads a model.
     *
     * @param required adapters that must be loaded, pinned; other adapters are left out if they would have to be fetched, or
     *     cannot be used
     * @throws LlamafuException if a required adapter or the model cannot be used
     */
    ModelGeneration load(List<AdapterFile> required) {
        List<OpenStack> pins = new ArrayList<>();
        try (ModelDigest digest = ModelDigest.start(options)) {
            List<InMemory> adapters = adapters(required, pins);
            checkAdapterBudget(adapters);
            List<String> arguments = arguments(adapters);
            ModelKey key = key(arguments, adapters);
            // llama.cpp b4916 never frees a model, so none is loaded for a version that is gone
            required.forEach(AdapterFile::requireUnchanged);
            BoundModel model = IdleModels.take(key).orElseGet(() -> loadModel(arguments));
            // only then does the key describe what was read
            adapters.forEach(adapter -> adapter.file().requireUnchanged());
            return new ModelGeneration(key, model, adapters, digest.await());
        } finally {
            pins.forEach(OpenStack::close);
        }
    }

    /** Each content once, because adapters are distinguished by content. */
    private List<InMemory> adapters(List<AdapterFile> required, List<OpenStack> pins) {
        Map<String, InMemory> byDigest = new LinkedHashMap<>();
        for (AdapterFile adapter : required) {
            byDigest.putIfAbsent(adapter.digest(), checked(adapter));
        }
        for (String name : catalog.names()) {
            try {
                if (!isHere(name)) {
                    continue;
                }
                OpenStack open =
                        catalog.open(AdapterStack.of(name), file -> true).join();
                pins.add(open);
                AdapterFile adapter = open.files().get(0);
                if (!byDigest.containsKey(adapter.digest())) {
                    byDigest.put(adapter.digest(), checked(adapter));
                }
            } catch (LlamafuException | CompletionException e) {
                LOG.warn("Adapter '{}' is left out until a record asks for it: {}", name, e.getMessage());
            }
        }
        return List.copyOf(byDigest.values());
    }

    private boolean isHere(String name) {
        return catalog.peek(name).flatMap(Version::file).isPresent()
                || catalog.lastResolved(name).filter(AdapterFile::isUnchanged).isPresent();
    }

    private InMemory checked(AdapterFile adapter) {
        try {
            GgufFile gguf = GgufReader.read(adapter.path(), GgufKind.ADAPTER);
            AdapterCompatibility.check(file.gguf(), gguf).requireCompatible(adapter.name());
            adapter.requireSound();
            AdapterInfo info = AdapterInfo.of(gguf);
            if (!info.invocationTokens().isEmpty()) {
                throw new LlamafuException(
                        ErrorCode.ADAPTER_INCOMPATIBLE,
                        "The adapter '%s' is an activated LoRA (aLoRA), which java-llama.cpp would apply to the whole prompt; use the engine native."
                                .formatted(adapter.name()));
            }
            return new InMemory(adapter, info, gguf.tensorBytes(), 0);
        } catch (LlamafuException e) {
            throw adapter.explain(e);
        }
    }

    private void checkAdapterBudget(List<InMemory> adapters) {
        long bytes = adapters.stream().mapToLong(InMemory::bytes).sum();
        if (adapterBudget > 0 && bytes > adapterBudget) {
            throw new LlamafuException(
                    ErrorCode.OUT_OF_MEMORY,
                    "adapters.memory-budget is %d bytes, but the %d adapters of the folder have %d and the engine %s loads all of them; raise it, or keep fewer in the folder."
                            .formatted(adapterBudget, adapters.size(), bytes, JavaLlamaCppEngine.NAME));
        }
    }

    private List<String> arguments(List<InMemory> adapters) {
        List<String> arguments = new ArrayList<>(List.of(
                "--model",
                options.model().toString(),
                "--ctx-size",
                // one more cell per sequence, because a full sequence fails
                String.valueOf((sequenceTokens + 1L) * options.parallelSequences()),
                "--parallel",
                String.valueOf(options.parallelSequences()),
                "--batch-size",
                String.valueOf(options.batchSize()),
                "--ubatch-size",
                String.valueOf(options.batchSize()),
                "--threads",
                String.valueOf(options.threads()),
                "--gpu-layers",
                String.valueOf(options.gpuLayers() < 0 ? ALL_LAYERS : options.gpuLayers()),
                // ends a full sequence instead of dropping its beginning
                "--no-context-shift",
                "--no-warmup",
                "--log-disable",
                "--lora-init-without-apply"));
        if (options.gpuLayers() != 0 && options.gpuDevice().isPresent()) {
            arguments.addAll(List.of(
                    "--split-mode",
                    "none",
                    "--main-gpu",
                    String.valueOf(options.gpuDevice().getAsInt())));
        }
        for (InMemory adapter : adapters) {
            arguments.add("--lora");
            arguments.add(adapter.file().path().toString());
        }
        return arguments;
    }

    private ModelKey key(List<String> arguments, List<InMemory> adapters) {
        try {
            return new ModelKey(
                    arguments,
                    adapters.stream().map(adapter -> adapter.file().digest()).toList(),
                    Files.size(options.model()),
                    Files.getLastModifiedTime(options.model()));
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.MODEL_NOT_FOUND, "'%s' cannot be read: %s".formatted(options.model(), e.getMessage()), e);
        }
    }

    private static BoundModel loadModel(List<String> arguments) {
        try {
            return BoundModel.load(arguments);
        } catch (LinkageError e) {
            throw new LlamafuException(
                    ErrorCode.NATIVE_LIBRARY_UNAVAILABLE, "java-llama.cpp cannot be loaded here: " + e, e);
        }
    }
}
