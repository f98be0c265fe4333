package io.llamafu;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.lang.ArchRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.GeneralCodingRules.NO_CLASSES_SHOULD_USE_JAVA_UTIL_LOGGING;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

/**
 * The allowed dependencies (native, the PEFT converter, operators, the installed jar, examples), and the public API. The
 * optional engine and the benchmarks, which no example needs, have a rule each in their own modules.
 */
class ArchitectureTest {
    private static final String ROOT = "io.llamafu";
    private static final String GGUF = "io.llamafu.gguf";
    private static final String ADAPTER = "io.llamafu.adapter";
    private static final String ENGINE = "io.llamafu.engine";
    private static final String SUPPORT = "io.llamafu.engine.support";
    private static final String GRAMMAR = "io.llamafu.grammar";
    private static final String PEFT = "io.llamafu.peft";
    private static final String LLAMACPP = "io.llamafu.llamacpp";
    private static final String FLINK_API = "io.llamafu.flink";
    private static final String ARTIFACT = "io.llamafu.flink.artifact";
    private static final String FLINK_ROOMS = "io.llamafu.flink.*..";
    private static final String CHAT = "io.llamafu.chat";
    private static final String COMPLETION = "io.llamafu.flink.completion";
    private static final String OPTIONS = "io.llamafu.flink.options";
    private static final String TABLE = "io.llamafu.flink.table";
    private static final String LABEL = "io.llamafu.flink.label";
    private static final String CLUSTER = "io.llamafu.examples.cluster";
    private static final String EXAMPLES = "io.llamafu.examples..";
    private static final String OURS = "io.llamafu..";
    /** Relocated libraries of the installed jar, against which this module is tested. */
    private static final String RELOCATED = "io.llamafu.shaded..";

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOptions(List.of(new ImportOption.DoNotIncludeTests(), new OwnClasses()))
            .importPackages(ROOT);

    /** Neither relocated classes of the installed jar, which have our package name as a prefix, nor other modules' tests. */
    static final class OwnClasses implements ImportOption {
        @Override
        public boolean includes(Location location) {
            return !location.contains("/io/llamafu/shaded/") && !location.contains("-tests.jar!");
        }
    }

    @Test
    void rootKnowsNobody() {
        ArchRule rule = mayUse(ROOT, ROOT).because("every other package throws its exceptions");
        rule.check(CLASSES);
    }

    @Test
    void gguf() {
        ArchRule rule = mayUse(GGUF, ROOT, GGUF).because("a file format knows nothing of what it is for");
        rule.check(CLASSES);
    }

    @Test
    void adapter() {
        ArchRule rule = mayUse(ADAPTER, ROOT, GGUF, ADAPTER).because("an adapter is a GGUF file");
        rule.check(CLASSES);
    }

    @Test
    void peft() {
        ArchRule rule = mayUse(PEFT, ROOT, GGUF, ADAPTER, PEFT).because("a conversion needs no engine");
        rule.check(CLASSES);
    }

    @Test
    void engine() {
        ArchRule rule =
                mayUse(ENGINE, ROOT, ADAPTER, ENGINE).because("engines are found by their provider, never named");
        rule.check(CLASSES);
    }

    @Test
    void engineSupport() {
        ArchRule rule = mayUse(SUPPORT, ROOT, GGUF, ADAPTER, ENGINE, SUPPORT)
                .because("what engines have in common knows none of them");
        rule.check(CLASSES);
    }

    @Test
    void grammar() {
        ArchRule rule = mayUse(GRAMMAR, ROOT, GRAMMAR).because("a grammar is a text, whichever engine follows it");
        rule.check(CLASSES);
    }

    @Test
    void llamacpp() {
        ArchRule rule = mayUse(LLAMACPP, ROOT, GGUF, ADAPTER, ENGINE, SUPPORT, GRAMMAR, LLAMACPP)
                .because("one engine among others knows neither them nor Flink");
        rule.check(CLASSES);
    }

    @Test
    void chat() {
        ArchRule rule = mayUse(CHAT, ROOT, ADAPTER, ENGINE, LLAMACPP, CHAT)
                .because(
                        "a template makes a prompt, whichever engine reads it; of llama.cpp it needs the library alone");
        rule.check(CLASSES);
    }

    @Test
    void nativeKnowsNothingOfFlink() {
        ArchRule rule = noClasses()
                .that()
                .resideInAnyPackage(ROOT, GGUF, ADAPTER, PEFT, ENGINE, SUPPORT, GRAMMAR, LLAMACPP, CHAT)
                .should()
                .dependOnClassesThat()
                .resideInAPackage("org.apache.flink..")
                .because("llama.cpp on the JVM is of use without Flink");
        rule.check(CLASSES);
    }

    @Test
    void flinkUsesEnginesThroughTheirInterface() {
        ArchRule rule = mayUse("io.llamafu.flink..", ROOT, ADAPTER, ENGINE, GRAMMAR, CHAT, "io.llamafu.flink..")
                .because("any engine can answer");
        rule.check(CLASSES);
    }

    @Test
    void flinkArtifact() {
        ArchRule rule = mayUse(ARTIFACT, ROOT, ADAPTER, ENGINE, ARTIFACT)
                .because("files are brought here whatever asks for them, and for whatever");
        rule.check(CLASSES);
    }

    @Test
    void labelJob() {
        ArchRule rule = mayUse(
                        LABEL, ROOT, ADAPTER, ENGINE, GRAMMAR, CHAT, FLINK_API, ARTIFACT, COMPLETION, OPTIONS, LABEL)
                .because("it asks as SQL does, but needs no SQL on its class path");
        rule.check(CLASSES);
    }

    /** The installed jar does not contain them. */
    @Test
    void onlyTwoClassesNeedParquet() {
        ArchRule rule = noClasses()
                .that()
                .haveNameNotMatching("io\\.llamafu\\.flink\\.label\\.ParquetRow(Reader|Writer)(\\$.*)?")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.apache.parquet..", "org.apache.hadoop..")
                .because("whoever labels other files has no such libraries");
        rule.check(CLASSES);
    }

    /** The JVM runs these on a thread that the first job to need it starts, and that never ends. */
    @Test
    void nothingRunsOnAThreadThatOutlivesItsJob() {
        ArchRule rule = noClasses()
                .should()
                .callMethod(CompletableFuture.class, "orTimeout", long.class, TimeUnit.class)
                .orShould()
                .callMethod(CompletableFuture.class, "completeOnTimeout", Object.class, long.class, TimeUnit.class)
                .orShould()
                .callMethod(CompletableFuture.class, "delayedExecutor", long.class, TimeUnit.class)
                .orShould()
                .callMethod(CompletableFuture.class, "delayedExecutor", long.class, TimeUnit.class, Executor.class)
                .because("that thread would keep the class loader of the job");
        rule.check(CLASSES);
    }

    @Test
    void nobodyUsesTheExamples() {
        ArchRule rule = noClasses()
                .that()
                .resideOutsideOfPackage(EXAMPLES)
                .should()
                .dependOnClassesThat()
                .resideInAPackage(EXAMPLES);
        rule.check(CLASSES);
    }

    @Test
    void examplesAreWrittenAsUsersWould() {
        ArchRule rule = mayUse(
                        "io.llamafu.examples",
                        ROOT,
                        GGUF,
                        ADAPTER,
                        PEFT,
                        ENGINE,
                        GRAMMAR,
                        CHAT,
                        FLINK_API,
                        EXAMPLES,
                        COMPLETION)
                .because("an example shows what users may rely on");
        rule.check(CLASSES);
        ArchRule asksAsAJob = noClasses()
                .that()
                .resideInAPackage("io.llamafu.examples")
                .and()
                .haveNameNotMatching("io\\.llamafu\\.examples\\.(CheckAdapter|AdapterTrial)(\\$.*)?")
                .should()
                .dependOnClassesThat()
                .resideInAPackage(COMPLETION)
                .because("only the check of an adapter must ask word for word as a job would");
        asksAsAJob.check(CLASSES);
    }

    @Test
    void soakIsWrittenAsUsersWould() {
        ArchRule rule = mayUse("io.llamafu.examples.soak", ROOT, GGUF, ADAPTER, ENGINE, FLINK_API, EXAMPLES)
                .because("it shows what users may rely on, on files that are spoilt");
        rule.check(CLASSES);
    }

    @Test
    void clustersKnowNothingOfTheJobs() {
        ArchRule rule = mayUse(CLUSTER, CLUSTER).because("it starts processes, whatever runs in them");
        rule.check(CLASSES);
    }

    @Test
    void apiIsMarked() {
        ArchRule rule = classes()
                .that()
                .resideInAPackage(FLINK_API)
                .and()
                .arePublic()
                .and()
                .areTopLevelClasses()
                .should()
                .beAnnotatedWith(PublicEvolving.class)
                .because("users may rely on it; the nested builders of Avro records are generated without the mark");
        rule.check(CLASSES);
    }

    @Test
    void tableAndLabelJobMarkWhatUsersMayRelyOn() {
        ArchRule rule = classes()
                .that()
                .resideInAnyPackage(TABLE, LABEL)
                .and()
                .arePublic()
                .and()
                .areTopLevelClasses()
                .should()
                .beAnnotatedWith(PublicEvolving.class)
                .orShould()
                .beAnnotatedWith(Internal.class)
                .because("Flink needs public classes, and users must see which are for them");
        rule.check(CLASSES);
    }

    @Test
    void onlyTableKnowsSql() {
        ArchRule rule = noClasses()
                .that()
                .resideInAPackage(OURS)
                .and()
                .resideOutsideOfPackages(TABLE, EXAMPLES)
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.apache.flink.table..", TABLE)
                .because("a DataStream job needs no SQL on its class path");
        rule.check(CLASSES);
    }

    @Test
    void roomsBehindTheApiAreMarked() {
        ArchRule rule = classes()
                .that()
                .resideInAPackage(FLINK_ROOMS)
                .and()
                .resideOutsideOfPackages(TABLE, LABEL)
                .and()
                .arePublic()
                .and()
                .areTopLevelClasses()
                .should()
                .beAnnotatedWith(Internal.class)
                .because("they are public for each other only");
        rule.check(CLASSES);
    }

    @Test
    void noCyclesBetweenTheRooms() {
        ArchRule rule = slices().matching("io.llamafu.(*)..")
                .should()
                .beFreeOfCycles()
                .because("of two rooms one must be readable without the other");
        rule.check(CLASSES);
    }

    @Test
    void noCyclesBehindTheApi() {
        ArchRule rule = slices().matching("io.llamafu.flink.(*)..")
                .should()
                .beFreeOfCycles()
                .because(
                        "the API and what is behind it know each other, as it builds what takes its options and records;"
                                + " what is behind it does not go round in circles");
        rule.check(CLASSES);
    }

    @Test
    void onlyExamplesAndTheLabelJobPrint() {
        ArchRule rule = noClasses()
                .that()
                .resideOutsideOfPackage(EXAMPLES)
                .and()
                .doNotHaveFullyQualifiedName(LABEL + ".LabelJob")
                .should(ACCESS_STANDARD_STREAMS)
                .because(
                        "a TaskManager's output is its log; the label job is a command line, which no TaskManager runs");
        rule.check(CLASSES);
    }

    @Test
    void slf4jIsTheLog() {
        ArchRule rule = NO_CLASSES_SHOULD_USE_JAVA_UTIL_LOGGING;
        rule.check(CLASSES);
    }

    /** Among our own packages. */
    private static ArchRule mayUse(String user, String... used) {
        return noClasses()
                .that()
                .resideInAPackage(user)
                .should()
                .dependOnClassesThat(JavaClass.Predicates.resideInAPackage(OURS)
                        .and(JavaClass.Predicates.resideOutsideOfPackage(RELOCATED))
                        .and(JavaClass.Predicates.resideOutsideOfPackages(used)));
    }
}
