package io.llamafu;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.GeneralCodingRules.NO_CLASSES_SHOULD_USE_JAVA_UTIL_LOGGING;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

/** Who may use whom: native, operators, the jar to install, examples; and what users may rely on. */
@AnalyzeClasses(
        packages = "io.llamafu",
        importOptions = {ImportOption.DoNotIncludeTests.class, ArchitectureTest.OwnClasses.class})
class ArchitectureTest {
    private static final String ROOT = "io.llamafu";
    private static final String GGUF = "io.llamafu.gguf";
    private static final String ADAPTER = "io.llamafu.adapter";
    private static final String ENGINE = "io.llamafu.engine";
    private static final String LLAMACPP = "io.llamafu.llamacpp";
    private static final String FLINK_API = "io.llamafu.flink";
    private static final String FLINK_ROOMS = "io.llamafu.flink.*..";
    private static final String EXAMPLES = "io.llamafu.examples..";
    private static final String OURS = "io.llamafu..";

    /** Others' classes have our name in front of theirs in the jar to install. */
    static final class OwnClasses implements ImportOption {
        @Override
        public boolean includes(Location location) {
            return !location.contains("/io/llamafu/shaded/");
        }
    }

    @ArchTest
    static final ArchRule rootKnowsNobody = mayUse(ROOT, ROOT).because("every other package throws its exceptions");

    @ArchTest
    static final ArchRule gguf = mayUse(GGUF, ROOT, GGUF).because("a file format knows nothing of what it is for");

    @ArchTest
    static final ArchRule adapter = mayUse(ADAPTER, ROOT, GGUF, ADAPTER).because("an adapter is a GGUF file");

    @ArchTest
    static final ArchRule engine =
            mayUse(ENGINE, ROOT, ADAPTER, ENGINE).because("engines are found by their provider, never named");

    @ArchTest
    static final ArchRule llamacpp = mayUse(LLAMACPP, ROOT, GGUF, ADAPTER, ENGINE, LLAMACPP)
            .because("one engine among others knows neither them nor Flink");

    @ArchTest
    static final ArchRule nativeKnowsNothingOfFlink = noClasses()
            .that()
            .resideInAnyPackage(ROOT, GGUF, ADAPTER, ENGINE, LLAMACPP)
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.apache.flink..")
            .because("llama.cpp on the JVM is of use without Flink");

    @ArchTest
    static final ArchRule flinkUsesEnginesThroughTheirInterface = mayUse(
                    "io.llamafu.flink..", ROOT, ADAPTER, ENGINE, "io.llamafu.flink..")
            .because("any engine can answer");

    @ArchTest
    static final ArchRule nobodyUsesTheExamples = noClasses()
            .that()
            .resideOutsideOfPackage(EXAMPLES)
            .should()
            .dependOnClassesThat()
            .resideInAPackage(EXAMPLES);

    @ArchTest
    static final ArchRule examplesAreWrittenAsUsersWould = mayUse(EXAMPLES, ROOT, ADAPTER, ENGINE, FLINK_API, EXAMPLES)
            .because("an example shows what users may rely on");

    @ArchTest
    static final ArchRule apiIsMarked = classes()
            .that()
            .resideInAPackage(FLINK_API)
            .and()
            .arePublic()
            .and()
            .areTopLevelClasses()
            .should()
            .beAnnotatedWith(PublicEvolving.class)
            .because("users may rely on it; the nested builders of Avro records are generated without the mark");

    @ArchTest
    static final ArchRule roomsBehindTheApiAreMarked = classes()
            .that()
            .resideInAPackage(FLINK_ROOMS)
            .and()
            .arePublic()
            .and()
            .areTopLevelClasses()
            .should()
            .beAnnotatedWith(Internal.class)
            .because("they are public for each other only");

    @ArchTest
    static final ArchRule noCyclesBetweenTheRooms = slices().matching("io.llamafu.(*)..")
            .should()
            .beFreeOfCycles()
            .because("of two rooms one must be readable without the other");

    @ArchTest
    static final ArchRule noCyclesBehindTheApi = slices().matching("io.llamafu.flink.(*)..")
            .should()
            .beFreeOfCycles()
            .because("the API and what is behind it know each other, as it builds what takes its options and records;"
                    + " what is behind it does not go round in circles");

    @ArchTest
    static final ArchRule onlyExamplesPrint = noClasses()
            .that()
            .resideOutsideOfPackage(EXAMPLES)
            .should(ACCESS_STANDARD_STREAMS)
            .because("a TaskManager's output is its log");

    @ArchTest
    static final ArchRule slf4jIsTheLog = NO_CLASSES_SHOULD_USE_JAVA_UTIL_LOGGING;

    /** Of our own packages. */
    private static ArchRule mayUse(String user, String... used) {
        return noClasses()
                .that()
                .resideInAPackage(user)
                .should()
                .dependOnClassesThat(JavaClass.Predicates.resideInAPackage(OURS)
                        .and(JavaClass.Predicates.resideOutsideOfPackages(used)));
    }
}
