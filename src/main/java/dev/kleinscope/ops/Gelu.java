package dev.kleinscope.ops;

/** Which Gaussian error linear unit; the names in configurations are transformers'. */
public enum Gelu {
    /** {@code x Phi(x)}, Phi the normal distribution: "gelu". */
    ERF,
    /** {@code x sigmoid(1.702 x)}: "quick_gelu". */
    QUICK,
    /** {@code x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2}: "gelu_new", "gelu_pytorch_tanh". */
    TANH;

    private static final double TANH_SCALE = Math.sqrt(2 / Math.PI);

    /** The function in f64, to about its precision. */
    public double of(double x) {
        return switch (this) {
            case ERF -> 0.5 * x * erfc(-x / Math.sqrt(2));
            case QUICK -> x / (1 + Math.exp(-1.702 * x));
            case TANH -> 0.5 * x * (1 + Math.tanh(TANH_SCALE * (x + 0.044715 * x * x * x)));
        };
    }

    /** {@code 1 - erf(x)}: a series of positive terms near zero, a continued fraction beyond. */
    static double erfc(double x) {
        if (x < 0) {
            return 2 - erfc(-x);
        }
        if (x > 27 || Double.isNaN(x)) {
            return x > 27 ? 0 : Double.NaN;
        }
        double gauss = Math.exp(-x * x) / Math.sqrt(Math.PI);
        if (x < 2) {
            double term = x;
            double sum = x;
            for (int n = 1; term > sum * 1e-17; n++) {
                term *= 2 * x * x / (2 * n + 1);
                sum += term;
            }
            return 1 - 2 * gauss * sum;
        }
        double fraction = x;
        for (int n = 80; n > 0; n--) {
            fraction = x + n / 2.0 / fraction;
        }
        return gauss / fraction;
    }
}
