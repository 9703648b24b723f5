// What all views share: elements without markup, times, and why a call ended, in words.

/** An element: own properties and on… handlers, then children; text is text. */
export function el(tag, props = {}, ...children) {
	const made = document.createElement(tag);
	for (const [name, value] of Object.entries(props)) {
		if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
		else if (name in made && name !== 'list') made[name] = value;
		else if (value !== null && value !== undefined) made.setAttribute(name, value);
	}
	made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
	return made;
}

export const button = (text, onclick, props = {}) => el('button', { type: 'button', onclick, ...props }, text);

/** A form of one line; on({name: value}) of its fields, emptied where that has worked. Its fields say what they are: it is no landmark. */
export function form(name, fields, text, on, props = {}) {
	const made = el('form', { className: 'line', name, ...props }, ...fields, el('button', {}, text));
	made.addEventListener('submit', async (event) => {
		event.preventDefault();
		if (await on(Object.fromEntries(new FormData(made))) !== false) made.reset();
	});
	return made;
}

export const field = (name, label, props = {}) => el('input', { name, placeholder: label, 'aria-label': label, ...props });

export function when(at) {
	const day = new Date(at);
	const isToday = day.toDateString() === new Date().toDateString();
	return isToday ? day.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
		: day.toLocaleString([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit',
			...(day.getFullYear() === new Date().getFullYear() ? {} : { year: 'numeric' }) });
}

export const time = (at) => el('time', { dateTime: at }, when(at));
export const span = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, '0')}`;
export const short = (email) => email.split('@')[0];

// Who is called reads the second, where that is another.
export const CAUSES = {
	hangup: 'Hung up',
	busy: ['Busy: they are in another call, or do not want to be disturbed', 'You were in another call, or did not want to be disturbed'],
	declined: 'Declined',
	'no-answer': ['Nobody answered', 'You did not answer'],
	cancelled: 'Called off before anybody answered',
	unreachable: ['Not reachable: no phone and no page of theirs is there just now', 'It did not reach you: no phone and no page of yours was there'],
	'not-found': ['There is no such account', 'It did not reach you: your phone did not know the address'],
	media: 'The two sides have no sound or picture format in common',
	'signed-out': 'You were signed out, and the call with it',
	elsewhere: 'Answered at another phone or page of yours',
	'no-ack': 'The phone did not confirm that it had answered',
	expired: 'The phone has not been heard of any more',
	transferred: 'Handed on to somebody else',
	'agent-lost': 'The server lost touch with the phone',
};

/** Why a call is over, to who was called or who calls. */
export function why(ended, me, isCalled = false) {
	const [made, received = made] = [CAUSES[ended?.cause] || ended?.cause || 'Over'].flat();
	const text = isCalled ? received : made;
	return ended?.by && ended.cause !== 'busy' ? `${text}, by ${ended.by === me ? 'you' : short(ended.by)}` : text;
}

/** What is wrong, and what to do about it. instead: what one can do without a microphone. */
export function problem(error, instead = '; or only listen') {
	if (error.name === 'NotAllowedError') return `The microphone was refused. Allow it beside the page's address, and try again${instead}.`;
	if (error.name === 'NotFoundError') return `There is no microphone or camera here. Plug one in, and try again${instead}.`;
	if (error.name === 'NotReadableError') return `The microphone or camera is in use by another program. Close that, and try again${instead}.`;
	if (!navigator.mediaDevices && error instanceof TypeError && /getUserMedia/.test(error.message)) {
		return `A browser gives a microphone only to pages over https, or of 127.0.0.1. Open it so${instead}.`;
	}
	if (error instanceof TypeError) return `The server does not answer. (${error.message})`;
	return error.message;
}

export const isOfMedia = (error) => error.name.startsWith('Not') || /getUserMedia/.test(error.message);
