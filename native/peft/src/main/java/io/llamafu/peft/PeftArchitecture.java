package io.llamafu.peft;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The supported architectures, each with the names of its modules in Hugging Face's Transformers and in GGUF. The names
 * are those of {@code tensor_mapping.py} in llama.cpp v0.5.0.
 */
enum PeftArchitecture {
    /** Also Mistral, which llama.cpp runs as llama. */
    LLAMA("llama"),
    QWEN2("qwen2"),
    QWEN3("qwen3"),
    /** Adapters of its experts are not supported. */
    QWEN3MOE("qwen3moe"),
    GEMMA("gemma"),
    GEMMA2("gemma2"),
    GEMMA3("gemma3"),
    PHI3("phi3"),
    GRANITE("granite"),
    SMOLLM3("smollm3");

    /** A module of a layer, and the GGUF name of its matrix. */
    private record Module(String path, String tensor) {}

    private static final class Modules {
        static final List<Module> SEPARATE = List.of(
                new Module("self_attn.q_proj", "attn_q"),
                new Module("self_attn.k_proj", "attn_k"),
                new Module("self_attn.v_proj", "attn_v"),
                new Module("self_attn.o_proj", "attn_output"),
                new Module("mlp.gate_proj", "ffn_gate"),
                new Module("mlp.up_proj", "ffn_up"),
                new Module("mlp.down_proj", "ffn_down"));

        static final List<Module> ATTENTION = SEPARATE.subList(0, 4);

        /** These fused matrices are fused in GGUF too, with their rows in the same order. */
        static final List<Module> FUSED = List.of(
                new Module("self_attn.qkv_proj", "attn_qkv"),
                new Module("self_attn.o_proj", "attn_output"),
                new Module("mlp.gate_up_proj", "ffn_up"),
                new Module("mlp.down_proj", "ffn_down"));

        private Modules() {}
    }

    /** Multimodal models have their text model under one of the longer prefixes. */
    private static final Pattern LAYER_MODULE = Pattern.compile(
            "(?:model|model\\.language_model|language_model\\.model)\\.layers\\.(0|[1-9][0-9]{0,3})\\.([a-z0-9_.]{1,64})");

    private final String ggufName;

    PeftArchitecture(String ggufName) {
        this.ggufName = ggufName;
    }

    /** The value of {@code general.architecture}. */
    String ggufName() {
        return ggufName;
    }

    static Optional<PeftArchitecture> ofGgufName(String name) {
        return Arrays.stream(values())
                .filter(architecture -> architecture.ggufName.equals(name))
                .findFirst();
    }

    /** By {@code model_type} of a Hugging Face configuration. */
    static Optional<PeftArchitecture> ofModelType(String type) {
        return switch (type) {
            case "mistral" -> Optional.of(LLAMA);
            case "gemma3_text" -> Optional.of(GEMMA3);
            case "qwen3_moe" -> Optional.of(QWEN3MOE);
            default -> ofGgufName(type);
        };
    }

    /** All architectures, for messages. */
    static String names() {
        return Arrays.stream(values()).map(PeftArchitecture::ggufName).collect(Collectors.joining(", "));
    }

    /** The modules of a layer that can be adapted, for messages. */
    String moduleNames() {
        return modules().stream().map(Module::path).collect(Collectors.joining(", "));
    }

    /** The matrix for the path of a module in the base, such as {@code model.layers.0.self_attn.q_proj}. */
    Optional<ModuleTarget> target(String path) {
        Matcher matcher = LAYER_MODULE.matcher(path);
        if (!matcher.matches()) {
            return Optional.empty();
        }
        int layer = Integer.parseInt(matcher.group(1));
        List<Module> modules = modules();
        for (int place = 0; place < modules.size(); place++) {
            Module module = modules.get(place);
            if (module.path().equals(matcher.group(2))) {
                return Optional.of(new ModuleTarget(layer, place, module.tensor(), isRotary(module)));
            }
        }
        return Optional.empty();
    }

    private List<Module> modules() {
        return switch (this) {
            case LLAMA, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3, GRANITE, SMOLLM3 -> Modules.SEPARATE;
            case QWEN3MOE -> Modules.ATTENTION;
            case PHI3 -> Modules.FUSED;
        };
    }

    /** Whether llama.cpp rotates other pairs of rows than Transformers, see {@link RotaryRows}. */
    private boolean isRotary(Module module) {
        return switch (this) {
            case LLAMA, GRANITE, SMOLLM3 ->
                module.tensor().equals("attn_q") || module.tensor().equals("attn_k");
            case QWEN2, QWEN3, QWEN3MOE, GEMMA, GEMMA2, GEMMA3, PHI3 -> false;
        };
    }
}
