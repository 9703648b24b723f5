// The sound of ringing, made here: two tones who is called, one who calls.

const LOUD = 0.06;

/** Rings until the function that it gives is called. */
export function ring(isCalled) {
	const context = new AudioContext();
	const gain = new GainNode(context, { gain: 0 });
	gain.connect(context.destination);
	for (const frequency of isCalled ? [480, 620] : [425]) {
		const tone = new OscillatorNode(context, { frequency });
		tone.connect(gain);
		tone.start();
	}
	const beep = () => {
		gain.gain.setTargetAtTime(LOUD, context.currentTime, 0.02);
		gain.gain.setTargetAtTime(0, context.currentTime + 0.9, 0.05);
	};
	beep();
	const timer = setInterval(beep, 3000);
	return () => {
		clearInterval(timer);
		if (context.state !== 'closed') context.close();
	};
}
