package io.llamafu.flink;

import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.chat.ChatVariables;
import io.llamafu.chat.Thinking;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.EngineOptions.ModelLoading;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The options of Llamafu, with the same keys in the DataStream API and in SQL.
 *
 * <pre>{@code
 * Configuration configuration = new Configuration();
 * configuration.set(LlamafuConfigOptions.MODEL, "/models/base.gguf");
 * LlamafuOptions options = LlamafuOptions.fromConfiguration(configuration);
 * }</pre>
 */
@PublicEvolving
public final class LlamafuConfigOptions {

    public static final ConfigOption<String> MODEL = ConfigOptions.key("model")
            .stringType()
            .noDefaultValue()
            .withDescription("The GGUF model: a path or file:// URI that every TaskManager can read, or a URI"
                    + " of any other file system of Flink, such as s3://, from which each TaskManager"
                    + " fetches it into its cache. Required.");

    public static final ConfigOption<String> ADAPTERS = ConfigOptions.key("adapters")
            .stringType()
            .noDefaultValue()
            .withDescription("A folder, as a path or file:// URI that every TaskManager can read, or as a URI"
                    + " of any other file system of Flink. Every NAME.gguf in it is the adapter NAME."
                    + " Without it and adapters.files, only the base model answers.");

    public static final ConfigOption<String> CACHE_DIR = ConfigOptions.key("cache.dir")
            .stringType()
            .noDefaultValue()
            .withDescription("The folder for fetched models and adapters, on a local disk; jobs and"
                    + " TaskManagers of a machine may share it. The default is 'llamafu-cache' in the"
                    + " TaskManager's first folder for temporary files, with a random suffix if all"
                    + " users share that. Only Flink's user and root may have write access.");

    public static final ConfigOption<MemorySize> CACHE_MAX_SIZE = ConfigOptions.key("cache.max-size")
            .memoryType()
            .defaultValue(MemorySize.parse("64 gb"))
            .withDescription("The most bytes of fetched files; 0 is no limit. When it is full, the least"
                    + " recently used idle files are deleted.");

    public static final ConfigOption<String> ENGINE = ConfigOptions.key("engine")
            .stringType()
            .defaultValue(EngineOptions.AUTO)
            .withDescription("The engine: 'native' is our build of llama.cpp, 'java-llama.cpp' the library of that name"
                    + " (artifact llamafu-java-llama-cpp); 'auto' takes 'native' where it runs, else the other.");

    public static final ConfigOption<Integer> CONTEXT_SIZE = ConfigOptions.key("context-size")
            .intType()
            .defaultValue(2048)
            .withDescription("Tokens of one sequence, prompt and answer together; never more than the model was trained"
                    + " for. The key-value cache holds this many for each of the parallel sequences.");

    public static final ConfigOption<Integer> PARALLEL_SEQUENCES = ConfigOptions.key("parallel-sequences")
            .intType()
            .defaultValue(16)
            .withDescription("The most sequences decoded in one batch, 1 to 256.");

    public static final ConfigOption<Integer> BATCH_SIZE = ConfigOptions.key("batch-size")
            .intType()
            .defaultValue(512)
            .withDescription("The most tokens of one decode step, prefill and decode together; at least"
                    + " parallel-sequences, at most 1048576.");

    public static final ConfigOption<Integer> THREADS = ConfigOptions.key("threads")
            .intType()
            .noDefaultValue()
            .withDescription(
                    "CPU threads of a decode step; the default is the number of processors of the" + " TaskManager.");

    public static final ConfigOption<Integer> GPU_LAYERS = ConfigOptions.key("gpu-layers")
            .intType()
            .defaultValue(0)
            .withDescription("Layers held by a GPU; 0 is CPU only, -1 is all.");

    public static final ConfigOption<ModelLoading> MODEL_LOADING = ConfigOptions.key("model-loading")
            .enumType(ModelLoading.class)
            .defaultValue(ModelLoading.READ)
            .withDescription("'read' reads the model into private memory, so later changes of the file have no"
                    + " effect. 'map' maps the file, so that all processes of a machine share its"
                    + " memory; the file must not be written to while it is in use.");

    public static final ConfigOption<Boolean> PACKED_WEIGHTS = ConfigOptions.key("packed-weights")
            .booleanType()
            .defaultValue(true)
            .withDescription(
                    "Whether weights that are read into memory are laid out for the engine's own kernels, which"
                            + " are faster than those of llama.cpp. Ignored with model-loading 'map'.");

    public static final ConfigOption<Boolean> DETERMINISTIC = ConfigOptions.key("deterministic")
            .booleanType()
            .defaultValue(false)
            .withDescription(
                    "Whether the bits of an answer depend on the model, the adapters and the request only, whatever else is"
                            + " in its batch. Needs packed-weights; a model or machine that cannot give it is refused.");

    public static final ConfigOption<MemorySize> MEMORY_BUDGET = ConfigOptions.key("memory-budget")
            .memoryType()
            .defaultValue(MemorySize.ZERO)
            .withDescription("The most memory for weights, cache and scratch; 0 is no limit.");

    public static final ConfigOption<MemorySize> ADAPTERS_MEMORY_BUDGET = ConfigOptions.key("adapters.memory-budget")
            .memoryType()
            .noDefaultValue()
            .withDescription("The most memory for adapters; 0 is no limit. When it is full, the least recently used"
                    + " idle adapter is evicted. The default is half of the memory that the model and the JVM"
                    + " leave when the model is opened, at least 64 mb.");

    public static final ConfigOption<Map<String, String>> ADAPTERS_FILES = ConfigOptions.key("adapters.files")
            .mapType()
            .defaultValue(Map.of())
            .withDescription("Additional adapters, each with the path or URI of its GGUF file. Written"
                    + " 'adapters.files.NAME' = 'FILE', or in one option as NAME:FILE,NAME:'URI'. A name must"
                    + " not be in the folder as well.");

    public static final ConfigOption<Duration> ADAPTERS_REFRESH_INTERVAL = ConfigOptions.key(
                    "adapters.refresh-interval")
            .durationType()
            .defaultValue(AdapterCatalog.DEFAULT_REFRESH_INTERVAL)
            .withDescription("How long the lookup of an adapter name is cached, and so how late a new version may take"
                    + " effect; 0 looks at the file for every record.");

    public static final ConfigOption<List<String>> ADAPTERS_PRELOAD = ConfigOptions.key("adapters.preload")
            .stringType()
            .asList()
            .defaultValues()
            .withDescription("Adapters or stacks, separated by ';', that are loaded when the model is opened, all"
                    + " together. If that fails, the model is not opened.");

    public static final ConfigOption<LoraBatching> LORA_BATCHING = ConfigOptions.key("lora-batching")
            .enumType(LoraBatching.class)
            .defaultValue(LoraBatching.MIXED)
            .withDescription(
                    "'mixed' decodes sequences with different adapters in one batch, 'grouped' makes one decode"
                            + " call for each stack.");

    public static final ConfigOption<Integer> MAX_ADAPTERS_PER_BATCH = ConfigOptions.key("max-adapters-per-batch")
            .intType()
            .defaultValue(128)
            .withDescription("The most distinct adapters among the running sequences. Every step reads the weights of"
                    + " each.");

    public static final ConfigOption<Boolean> PREFIX_SHARING = ConfigOptions.key("prefix-sharing")
            .booleanType()
            .defaultValue(true)
            .withDescription("Whether prompts that begin alike, with the same adapters, share the prefill of their"
                    + " beginning. Off only for comparisons.");

    public static final ConfigOption<MemorySize> ANSWER_MEMO = ConfigOptions.key("answer-memo")
            .memoryType()
            .defaultValue(MemorySize.ofMebiBytes(8))
            .withDescription("The most JVM heap for stored answers, so that the model is asked once for"
                    + " identical prompts with the same adapters and options; 0 asks it every time.");

    public static final ConfigOption<Duration> IDLE_TIMEOUT = ConfigOptions.key("idle-timeout")
            .durationType()
            .defaultValue(Duration.ofSeconds(60))
            .withDescription("How long a TaskManager keeps the model after its last user, so that a restarted job need"
                    + " not load it again.");

    public static final ConfigOption<String> PROMPT_TEMPLATE = ConfigOptions.key("prompt-template")
            .stringType()
            .defaultValue("{text}")
            .withDescription("The prompt, with {text} where the record's text goes.");

    public static final ConfigOption<Boolean> CONTROL_TOKENS_IN_TEXT = ConfigOptions.key("control-tokens-in-text")
            .booleanType()
            .defaultValue(false)
            .withDescription("Whether control strings in the texts of records, such as <|im_end|>, become control"
                    + " tokens. Only for texts that are whole prompts: whoever writes such a text can end the"
                    + " user's turn and speak for the system.");

    public static final ConfigOption<String> CHAT_TEMPLATE = ConfigOptions.key("chat-template")
            .stringType()
            .defaultValue(ChatOptions.AUTO)
            .withDescription(
                    "The template that makes a conversation of a prompt, in which the prompt is the user's turn:"
                            + " 'model' is the one in the model's file, 'auto' the same if there is one, and 'none' sends"
                            + " prompts as they are. Or the name of a family, such as chatml, or a Jinja file: a path or"
                            + " URI. 'auto' is 'none' with control-tokens-in-text, and for a prompt-template that has"
                            + " control strings of the model's template.");

    public static final ConfigOption<String> SYSTEM_PROMPT = ConfigOptions.key("system-prompt")
            .stringType()
            .defaultValue("")
            .withDescription("What the model is told before all else. Needs a chat template.");

    public static final ConfigOption<String> CHAT_EXAMPLES = ConfigOptions.key("chat-examples")
            .stringType()
            .defaultValue("")
            .withDescription(
                    "Turns before that of the user, as examples: a JSON array of what users and assistants say,"
                            + " alternately. Needs a chat template.");

    public static final ConfigOption<Thinking> THINKING = ConfigOptions.key("thinking")
            .enumType(Thinking.class)
            .defaultValue(Thinking.KEEP)
            .withDescription("'keep' leaves the thinking of a model in its answer, 'drop' takes it out, 'off' tells the"
                    + " chat template that the model should not think.");

    public static final ConfigOption<String> CHAT_DATE = ConfigOptions.key("chat-date")
            .stringType()
            .defaultValue(ChatVariables.DEFAULT_DATE.toString())
            .withDescription("The date that chat templates print as today's, such as 2024-07-26.");

    public static final ConfigOption<Integer> MAX_TOKENS = ConfigOptions.key("max-tokens")
            .intType()
            .defaultValue(CompletionRequest.DEFAULT_MAX_TOKENS)
            .withDescription("The most tokens to generate for a record, 1 or more.");

    public static final ConfigOption<Float> TEMPERATURE = ConfigOptions.key("temperature")
            .floatType()
            .defaultValue(0f)
            .withDescription("0, and anything below 0.0001, always takes the likeliest token; higher is more random.");

    public static final ConfigOption<Integer> TOP_K = ConfigOptions.key("top-k")
            .intType()
            .defaultValue(40)
            .withDescription("Sample from the k likeliest tokens; 0 keeps all. Needs a temperature above 0.");

    public static final ConfigOption<Float> TOP_P = ConfigOptions.key("top-p")
            .floatType()
            .defaultValue(0.95f)
            .withDescription("Sample from the smallest set of tokens whose probability sums to p, in (0, 1]; 1 keeps"
                    + " all. Needs a temperature above 0.");

    public static final ConfigOption<Float> MIN_P = ConfigOptions.key("min-p")
            .floatType()
            .defaultValue(0.05f)
            .withDescription("Drop tokens less likely than this times the likeliest, in [0, 1); 0 keeps all. Needs a"
                    + " temperature above 0.");

    public static final ConfigOption<Float> REPEAT_PENALTY = ConfigOptions.key("repeat-penalty")
            .floatType()
            .defaultValue(1f)
            .withDescription("Divides the logits of recent tokens, from 0.001 to 1000; 1 is off.");

    public static final ConfigOption<Integer> SEED = ConfigOptions.key("seed")
            .intType()
            .defaultValue(0)
            .withDescription(
                    "Seed of the random choice; any number, -1 is the same as -2. Needs a temperature above 0.");

    public static final ConfigOption<List<String>> STOP = ConfigOptions.key("stop")
            .stringType()
            .asList()
            .defaultValues()
            .withDescription("Strings that end the answer: a JSON array, or texts separated by ';', each taken"
                    + " exactly. The answer ends before the first that appears.");

    public static final ConfigOption<String> GRAMMAR = ConfigOptions.key("grammar")
            .stringType()
            .defaultValue("")
            .withDescription("A GBNF grammar with a 'root' rule that every answer must follow.");

    public static final ConfigOption<String> JSON_SCHEMA = ConfigOptions.key("json-schema")
            .stringType()
            .defaultValue("")
            .withDescription("A JSON schema that every answer must satisfy. Cannot be set together with 'grammar'.");

    public static final ConfigOption<List<String>> LABELS = ConfigOptions.key("labels")
            .stringType()
            .asList()
            .defaultValues()
            .withDescription("Texts of which every answer is one: a JSON array, or texts separated by ';', each taken"
                    + " exactly. 'max-tokens' and 'stop' then have no effect. Cannot be set together with 'grammar'"
                    + " or 'json-schema'.");

    public static final ConfigOption<Scoring> SCORING = ConfigOptions.key("scoring")
            .enumType(Scoring.class)
            .defaultValue(Scoring.NONE)
            .withDescription("How the probability of a label is computed: 'none', along the 'path' to it, which costs"
                    + " nothing, or of all labels, which is 'exact'.");

    public static final ConfigOption<Double> MIN_CONFIDENCE = ConfigOptions.key("min-confidence")
            .doubleType()
            .defaultValue(0.0)
            .withDescription("The least probability of a label, from 0 to 1; below it, the answer is the"
                    + " 'abstain-label'. Needs 'scoring'.");

    public static final ConfigOption<String> ABSTAIN_LABEL = ConfigOptions.key("abstain-label")
            .stringType()
            .defaultValue("")
            .withDescription("The answer for records whose label is less probable than 'min-confidence'.");

    public static final ConfigOption<String> CALIBRATION = ConfigOptions.key("calibration")
            .stringType()
            .defaultValue("")
            .withDescription("The temperature that divides the log-probabilities of labels: STACK=NUMBER for"
                    + " a stack, NUMBER for all others, separated by ';', as in 'medical=1.4;=0.9;1.1'. 1 leaves the"
                    + " probabilities as they are.");

    public static final ConfigOption<Boolean> MULTI_LABEL = ConfigOptions.key("multi-label")
            .booleanType()
            .defaultValue(false)
            .withDescription("Whether the answer is any subset of 'labels', as a JSON array in their order. Cannot be"
                    + " combined with 'scoring'.");

    public static final ConfigOption<Duration> TIMEOUT = ConfigOptions.key("timeout")
            .durationType()
            .defaultValue(CompletionRequest.DEFAULT_TIMEOUT)
            .withDescription("How long the engine may take for a record: once for loading its adapters, and again once"
                    + " it has a slot. Waiting for other records does not count. After that, the record is an"
                    + " error and its generation stops.");

    public static final ConfigOption<OnError> ON_ERROR = ConfigOptions.key("on-error")
            .enumType(OnError.class)
            .defaultValue(OnError.FAIL)
            .withDescription("What happens to a record that cannot be answered: 'fail' fails the job, 'null' gives a"
                    + " null text, 'emit' gives the error code and the error instead of a text.");

    public static final ConfigOption<Boolean> PROMPT_IN_OUTPUT = ConfigOptions.key("prompt-in-output")
            .booleanType()
            .defaultValue(false)
            .withDescription(
                    "Whether a completion has the prompt. It may be personal data, and is mostly longer than the"
                            + " answer.");

    private static final List<ConfigOption<?>> OF_THE_ENGINE = List.of(
            MODEL,
            ADAPTERS,
            CACHE_DIR,
            CACHE_MAX_SIZE,
            ENGINE,
            CONTEXT_SIZE,
            PARALLEL_SEQUENCES,
            BATCH_SIZE,
            THREADS,
            GPU_LAYERS,
            MODEL_LOADING,
            PACKED_WEIGHTS,
            DETERMINISTIC,
            MEMORY_BUDGET,
            ADAPTERS_MEMORY_BUDGET,
            ADAPTERS_FILES,
            ADAPTERS_REFRESH_INTERVAL,
            ADAPTERS_PRELOAD,
            LORA_BATCHING,
            MAX_ADAPTERS_PER_BATCH,
            PREFIX_SHARING,
            ANSWER_MEMO,
            IDLE_TIMEOUT);

    private static final List<ConfigOption<?>> OF_A_CALL = List.of(
            PROMPT_TEMPLATE,
            CONTROL_TOKENS_IN_TEXT,
            CHAT_TEMPLATE,
            SYSTEM_PROMPT,
            CHAT_EXAMPLES,
            THINKING,
            CHAT_DATE,
            MAX_TOKENS,
            TEMPERATURE,
            TOP_K,
            TOP_P,
            MIN_P,
            REPEAT_PENALTY,
            SEED,
            STOP,
            GRAMMAR,
            JSON_SCHEMA,
            LABELS,
            SCORING,
            MIN_CONFIDENCE,
            ABSTAIN_LABEL,
            CALIBRATION,
            MULTI_LABEL,
            TIMEOUT,
            ON_ERROR,
            PROMPT_IN_OUTPUT);

    private static final List<ConfigOption<?>> ALL =
            Stream.concat(OF_THE_ENGINE.stream(), OF_A_CALL.stream()).toList();

    private LlamafuConfigOptions() {}

    /** All options; only {@link #MODEL} is required. */
    public static List<ConfigOption<?>> all() {
        return ALL;
    }

    /** The options that a single call in SQL may set: all that do not open the engine. */
    @Internal
    public static List<ConfigOption<?>> ofACall() {
        return OF_A_CALL;
    }

    /** Whether the key is an entry of {@link #ADAPTERS_FILES}: {@code adapters.files.NAME}. */
    @Internal
    public static boolean isNamedAdapter(String key) {
        return key.startsWith(ADAPTERS_FILES.key() + ".");
    }
}
