package io.llamafu.peft;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.CompatibilityReport.Reason;
import io.llamafu.gguf.GgufKind;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * The content of {@code adapter_config.json}. The keys are those of {@code LoraConfig} in PEFT.
 *
 * @param rank of modules without a pattern; empty if it is malformed
 * @param alpha of modules without a pattern
 * @param rankStabilized whether alpha is divided by the root of the rank (rsLoRA) instead of the rank
 * @param rankPattern ranks of single modules
 * @param alphaPattern alphas of single modules
 * @param base the name of the model that it was trained on, if it is known; without the folders or the organization
 *     before it
 * @param invocationTokens what activates the adapter (aLoRA); empty for an ordinary one
 * @param reasons why the adapter cannot be converted
 * @param unknown unknown keys that are set, with their values, for messages
 * @param targets names of the modules to adapt; empty if they are not listed
 */
record PeftConfig(
        OptionalLong rank,
        double alpha,
        boolean rankStabilized,
        ModulePatterns rankPattern,
        ModulePatterns alphaPattern,
        Optional<String> base,
        List<Integer> invocationTokens,
        List<Reason> reasons,
        List<String> unknown,
        List<String> targets) {
    private static final int MOST_NOTES = 20;

    PeftConfig {
        invocationTokens = List.copyOf(invocationTokens);
        reasons = List.copyOf(reasons);
        unknown = List.copyOf(unknown);
        targets = List.copyOf(targets);
    }

    /**
     * Reads a configuration.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if there is no such file, and with {@link
     *     ErrorCode#ADAPTER_INVALID} if it is not a JSON object; problems of its content are in the reasons
     */
    static PeftConfig read(Path path) {
        return new Reader(Json.readObject(GgufKind.ADAPTER, path)).read();
    }

    /** Notes on a conversion to these tensors that may show a mistake. */
    List<String> notes(Collection<String> tensors) {
        List<String> notes = new ArrayList<>();
        unknown.forEach(option -> notes.add(
                "adapter_config.json has %s, which is not known and was ignored; check that the adapter needs no more than a plain LoRA."
                        .formatted(option)));
        Set<String> adapted = new HashSet<>();
        tensors.stream()
                .flatMap(name -> LoraTensorName.parse(name).stream())
                .forEach(name -> adapted.addAll(ends(name.path())));
        targets.stream()
                .filter(target -> !adapted.contains(target))
                .forEach(target -> notes.add("target_modules has %s, but no tensor is for such a module."
                        .formatted(Json.brief(TextNode.valueOf(target)))));
        int more = notes.size() - MOST_NOTES;
        return more <= 0
                ? notes
                : Stream.concat(notes.stream().limit(MOST_NOTES), Stream.of("There are %d more notes.".formatted(more)))
                        .toList();
    }

    /** The suffixes of a path that may name its module. */
    private static List<String> ends(String path) {
        List<String> ends = new ArrayList<>(List.of(path));
        for (int dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
            ends.add(path.substring(dot + 1));
        }
        return ends;
    }

    /** The rank of the module at this path of the base. */
    OptionalLong rankOf(String path) {
        return rankPattern
                .find(path)
                .map(rank -> OptionalLong.of(rank.longValue()))
                .orElse(rank);
    }

    /**
     * The alpha that gives a module its scale when divided by the rank, as llama.cpp does.
     *
     * @param path of the module in the base
     * @param moduleRank of the module
     */
    double alphaOf(String path, long moduleRank) {
        return perRank(alphaPattern.find(path).orElse(alpha), moduleRank);
    }

    /** Like {@link #alphaOf}, for modules without a pattern. */
    double commonAlpha() {
        return perRank(alpha, rank.orElse(1));
    }

    private double perRank(double value, long moduleRank) {
        return rankStabilized ? value * Math.sqrt((double) moduleRank) : value;
    }

    private static final class Reader {
        private static final int MAX_RANK = 1 << 16;

        private static final int MOST_NAME_CHARACTERS = 256;

        /** These leave the base unchanged. Others, such as pissa and loftq, need a changed base. */
        private static final Set<String> INITIALISATIONS = Set.of("true", "false", "gaussian", "eva", "orthogonal");

        /** Options that make an adapter more than pairs of matrices at one scale. */
        private static final List<Map.Entry<String, String>> UNSUPPORTED = List.of(
                Map.entry("use_dora", "llama.cpp has no DoRA"),
                Map.entry("modules_to_save", "whole modules cannot be replaced"),
                Map.entry("lora_bias", "biases cannot be adapted"),
                Map.entry("trainable_token_indices", "token embeddings cannot be adapted"),
                Map.entry("target_parameters", "experts cannot be adapted"),
                Map.entry("layer_replication", "llama.cpp cannot repeat layers"),
                Map.entry("fan_in_fan_out", "the supported models store no weight transposed"),
                Map.entry("use_qalora", "llama.cpp has no QA-LoRA"),
                Map.entry("use_bdlora", "llama.cpp has no block-diagonal LoRA"),
                Map.entry("arrow_config", "llama.cpp has no Arrow routing"),
                Map.entry("kasa_config", "llama.cpp has no KaSA"),
                Map.entry("monteclora_config", "llama.cpp has no MonteCLoRA"));

        /** Keys that are read here, or do not affect the weights. */
        private static final Set<String> KNOWN = Set.of(
                "peft_type",
                "r",
                "lora_alpha",
                "use_rslora",
                "alora_invocation_tokens",
                "rank_pattern",
                "alpha_pattern",
                "bias",
                "init_lora_weights",
                "target_modules",
                "exclude_modules",
                "layers_to_transform",
                "layers_pattern",
                "lora_dropout",
                "task_type",
                "inference_mode",
                "base_model_name_or_path",
                "revision",
                "peft_version",
                "auto_mapping",
                "ensure_weight_tying",
                "megatron_config",
                "megatron_core",
                "loftq_config",
                "eva_config",
                "corda_config",
                "lora_ga_config",
                "qalora_group_size",
                "runtime_config");

        private final JsonNode root;
        private final List<Reason> reasons = new ArrayList<>();

        Reader(JsonNode root) {
            this.root = root;
        }

        PeftConfig read() {
            checkType();
            UNSUPPORTED.forEach(option -> checkUnset(option.getKey(), option.getValue()));
            checkInitialisation();
            return new PeftConfig(
                    readRank(),
                    readAlpha(),
                    readFlag("use_rslora"),
                    readPatterns("rank_pattern", true),
                    readPatterns("alpha_pattern", false),
                    readBase(),
                    readInvocation(),
                    reasons,
                    findUnknown(),
                    readTargets());
        }

        private List<String> findUnknown() {
            List<String> unknown = new ArrayList<>();
            for (Iterator<String> keys = root.fieldNames(); keys.hasNext(); ) {
                String key = keys.next();
                boolean refused =
                        UNSUPPORTED.stream().anyMatch(option -> option.getKey().equals(key));
                if (!refused && !KNOWN.contains(key) && isSet(key)) {
                    JsonNode value = root.get(key);
                    // A value with parts may be large, and would be written out completely before it is cut.
                    String brief = value.isValueNode() ? Json.brief(value) : value.isArray() ? "[...]" : "{...}";
                    unknown.add(Json.brief(TextNode.valueOf(key)) + ": " + brief);
                }
            }
            return unknown;
        }

        /** A single text is a pattern or 'all-linear'; an untrusted expression is not evaluated. */
        private List<String> readTargets() {
            List<String> targets = new ArrayList<>();
            JsonNode value = root.path("target_modules");
            if (value.isArray()) {
                value.forEach(target -> targets.add(target.asText()));
            }
            return targets;
        }

        private void checkType() {
            if (!root.path("peft_type").asText().equals("LORA")) {
                refuse("peft_type", "'LORA'");
            }
            if (isSet("bias") && !root.path("bias").asText().equals("none")) {
                refuse("bias", "'none', as biases cannot be adapted");
            }
        }

        private void checkUnset(String key, String why) {
            if (isSet(key)) {
                refuse(key, "unset, as " + why);
            }
        }

        /** A false flag or an empty list counts as absent. */
        private boolean isSet(String key) {
            JsonNode value = root.path(key);
            boolean empty = value.isContainerNode() && value.isEmpty();
            return !value.isMissingNode() && !value.isNull() && !empty && !(value.isBoolean() && !value.booleanValue());
        }

        private void checkInitialisation() {
            JsonNode value = root.path("init_lora_weights");
            if (!value.isMissingNode() && !value.isNull() && !INITIALISATIONS.contains(value.asText())) {
                refuse(
                        "init_lora_weights",
                        "one that leaves the base unchanged; save the adapter with its initial weights converted");
            }
        }

        private OptionalLong readRank() {
            JsonNode value = root.path("r");
            if (isRank(value)) {
                return OptionalLong.of(value.longValue());
            }
            refuse("r", "1 to " + MAX_RANK);
            return OptionalLong.empty();
        }

        private static boolean isRank(JsonNode value) {
            return value.isIntegralNumber()
                    && value.canConvertToInt()
                    && value.intValue() >= 1
                    && value.intValue() <= MAX_RANK;
        }

        /** llama.cpp treats an alpha of zero as no scale, and then does not divide by the rank. */
        private double readAlpha() {
            JsonNode value = root.path("lora_alpha");
            if (!isAlpha(value) || (float) value.doubleValue() == 0) {
                refuse("lora_alpha", "a number other than 0");
            }
            return value.doubleValue();
        }

        private static boolean isAlpha(JsonNode value) {
            return value.isNumber() && Math.abs(value.doubleValue()) <= Float.MAX_VALUE / MAX_RANK;
        }

        /** A folder, or a name with its organization. The folder is of the machine that trained, and of no use elsewhere. */
        private Optional<String> readBase() {
            JsonNode value = root.path("base_model_name_or_path");
            if (!value.isTextual()) {
                return Optional.empty();
            }
            return Arrays.stream(value.textValue().split("[/\\\\]"))
                    .filter(part -> !part.isBlank())
                    .reduce((before, last) -> last)
                    .map(name -> name.substring(0, Math.min(MOST_NAME_CHARACTERS, name.length())))
                    .filter(UTF_8.newEncoder()::canEncode);
        }

        private static boolean isToken(JsonNode value) {
            return value.isIntegralNumber() && value.canConvertToInt() && value.intValue() >= 0;
        }

        private List<Integer> readInvocation() {
            List<Integer> tokens = new ArrayList<>();
            JsonNode value = root.path("alora_invocation_tokens");
            if (value.isArray()) {
                value.forEach(token -> tokens.add(isToken(token) ? token.intValue() : -1));
            }
            if (isSet("alora_invocation_tokens") && (tokens.isEmpty() || tokens.contains(-1))) {
                refuse("alora_invocation_tokens", "a list of tokens");
            }
            return tokens;
        }

        private boolean readFlag(String key) {
            JsonNode value = root.path(key);
            if (!value.isMissingNode() && !value.isNull() && !value.isBoolean()) {
                refuse(key, "true or false");
            }
            return value.asBoolean();
        }

        private ModulePatterns readPatterns(String key, boolean areRanks) {
            ModulePatterns patterns = new ModulePatterns();
            JsonNode entries = root.path(key);
            if (!entries.isObject()) {
                if (isSet(key)) {
                    refuse(key, "an object of numbers by module");
                }
                return patterns;
            }
            for (Map.Entry<String, JsonNode> entry : entries.properties()) {
                JsonNode value = entry.getValue();
                if (!ModulePatterns.isPlain(entry.getKey()) || !(areRanks ? isRank(value) : isAlpha(value))) {
                    String pattern = entry.getKey()
                            .substring(0, Math.min(64, entry.getKey().length()));
                    reasons.add(new Reason(
                            ErrorCode.ADAPTER_INVALID,
                            key,
                            areRanks
                                    ? "the end of a module's path and its rank"
                                    : "the end of a module's path and its alpha",
                            "'%s': %s".formatted(pattern, Json.brief(value))));
                } else {
                    patterns.add(entry.getKey(), value.doubleValue());
                }
            }
            return patterns;
        }

        private void refuse(String key, String expected) {
            JsonNode value = root.path(key);
            reasons.add(new Reason(
                    ErrorCode.ADAPTER_INVALID, key, expected, value.isMissingNode() ? "missing" : Json.brief(value)));
        }
    }
}
