package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.kleinscope.stray.InNoPackageOfTheTable;
import dev.kleinscope.tensor.ImportsWhatItMayNot;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Which package may use which; a class outside these packages has no place either. */
class PackageTableTest {

    private static final String ROOT = "dev.kleinscope.";
    private static final Map<String, List<String>> TABLE = table();

    private static Map<String, List<String>> table() {
        Map<String, List<String>> table = new LinkedHashMap<>();
        List<String> models = List.of("model.dit", "model.text", "model.vae", "model.clip");
        List<String> underModels = List.of("tensor", "ops", "probe", "weights");
        table.put("tensor", List.of());
        table.put("ops", List.of("tensor"));
        table.put("probe", List.of("tensor"));
        table.put("weights", List.of("tensor"));
        models.forEach(model -> table.put(model, underModels));
        List<String> underPipeline = new ArrayList<>(models);
        underPipeline.addAll(underModels);
        table.put("pipeline", underPipeline);
        table.put("analysis", List.of("tensor", "probe", "pipeline"));
        table.put("report", List.of("analysis"));
        table.put("backend.reference", List.of("tensor", "ops"));
        table.put("backend.cpu", List.of("tensor", "ops", "bindings"));
        table.put("backend.cuda", List.of("tensor", "ops", "bindings"));
        table.put("bindings", List.of());
        // the library's front door: what a program opens, and the one place that chooses a backend
        table.put("", List.copyOf(table.keySet()));
        table.put("cli", List.copyOf(table.keySet()));
        return table;
    }

    @Test
    void everyPackageImportsOnlyWhatItMay() {
        JavaClasses classes = new ClassFileImporter()
                .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                .importPackages("dev.kleinscope");
        assertTrue(classes.size() > 10, "only " + classes.size() + " classes were read");
        List<String> violations = classes.stream().flatMap(type -> violations(type).stream()).toList();
        assertEquals(List.of(), violations);
    }

    @Test
    void anImportAgainstTheTableIsFound() {
        JavaClass wrong = new ClassFileImporter().importClass(ImportsWhatItMayNot.class);
        List<String> violations = violations(wrong);
        assertFalse(violations.isEmpty());
        assertTrue(violations.stream().allMatch(v -> v.startsWith("tensor may not use probe: ")), violations.toString());
    }

    @Test
    void theRootPackageMayNotUseTheCommands() {
        assertFalse(TABLE.get("").contains("cli"));
        assertEquals("", row(new ClassFileImporter().importClass(Kleinscope.class)));
    }

    @Test
    void aClassOutsideTheTableIsFound() {
        JavaClass stray = new ClassFileImporter().importClass(InNoPackageOfTheTable.class);
        assertEquals(List.of(InNoPackageOfTheTable.class.getName() + " is in no package of the table"), violations(stray));
    }

    private static List<String> violations(JavaClass type) {
        String from = row(type);
        if (from == null) {
            return List.of(type.getName() + " is in no package of the table");
        }
        List<String> violations = new ArrayList<>();
        for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
            JavaClass target = dependency.getTargetClass().getBaseComponentType();
            if (!target.getName().startsWith(ROOT)) {
                continue;
            }
            String to = row(target);
            if (!from.equals(to) && !TABLE.get(from).contains(to)) {
                violations.add((from.isEmpty() ? "the root package" : from) + " may not use " + to + ": " + dependency.getDescription());
            }
        }
        return violations;
    }

    /** The row that holds the class or a package around it, or null. */
    private static String row(JavaClass type) {
        String inside = (type.getPackageName() + ".").substring(Math.min(ROOT.length(), type.getPackageName().length() + 1));
        return TABLE.keySet().stream().filter(row -> row.isEmpty() ? inside.isEmpty() : inside.startsWith(row + ".")).findFirst().orElse(null);
    }
}
